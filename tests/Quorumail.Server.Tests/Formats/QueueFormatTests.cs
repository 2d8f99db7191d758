using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue;
using Quorumail.Server.Queue.Format;
using Quorumail.Server.Queue.History;
using Quorumail.Server.Tests.Queue;
using Quorumail.Tests.Formats;

namespace Quorumail.Server.Tests.Formats;

/// <summary>The queue's commands, answers and records, as they stand in logs, databases and snapshots.</summary>
public sealed class QueueFormatTests
{
    internal static readonly QueueId Id = QueueId.Create(0x0123456789AB, 0xCDEF0123);
    internal static readonly QueueId Other = QueueId.Create(0x0123456789AC, 0x00000004);

    internal static readonly EnqueueCommand Enqueue = new(
        Id,
        new Envelope(
            "ann@a.example",
            [new EnvelopeRecipient("bob@b.example", DsnNotify.Success | DsnNotify.Delay, "rfc822;bob@old.example"), new EnvelopeRecipient("cät@c.example")],
            DsnReturn.Full,
            "env-1"),
        123_456,
        BodyTraits.EightBit | BodyTraits.DeclaredSmtpUtf8,
        Convert.FromHexString("000102030405060708090A0B0C0D0E0F"),
        [new BodyHolder("n1", 3), new BodyHolder("n2", 70_000)],
        "n1",
        "tenant");

    internal static readonly QueueMembers Members = new(7, 2, 60_000, [new QueueNode("n1", 3, 9, IsDown: true, IsDraining: true, IsVacating: true), new QueueNode("n2", 4, 1, IsDown: false, IsDraining: false)]);

    private static readonly RecipientResult Result = new(1, RecipientOutcome.Deferred, "450 later", "4.2.0", "mx.example[192.0.2.1]:25", 1_700_000_000_000, DelayNoticed: true);

    private static readonly EnqueueCommand Notice = new(Other, new Envelope("", [new EnvelopeRecipient("ann@a.example")]), 9, BodyTraits.None, new byte[16], [new BodyHolder("n1", 3)], "n1");

    private static readonly QueueSelection Selection = new()
    {
        Ids = [Id, Other],
        Sender = "",
        Recipient = "bob@b.example",
        Domain = "b.example",
        State = MessageState.Held,
        MinAge = 3_600_000,
    };

    private static readonly (string Name, QueueCommand Command)[] Commands =
    [
        ("enqueue", Enqueue),
        ("enqueue-least", Notice),
        ("enqueue-carried", Notice with { Body = new byte[] { 1, 0, 255 } }),
        ("attempt-ended-carried", new AttemptEndedCommand(Id, 4, 5, [], [Notice with { Body = new byte[] { 1, 0, 255 } }])),
        ("abandon", new AbandonCommand(Id)),
        ("withdraw", new WithdrawCommand(Id)),
        ("unread-reply", new ReportUnreadReplyCommand(Id)),
        ("attempt-started", new AttemptStartedCommand(Id, 4, 5, [0, 300])),
        ("attempt-ended", new AttemptEndedCommand(Id, 4, 5, [Result, new RecipientResult(0, RecipientOutcome.Delivered, "", "", "")], [Notice])),
        ("owner-restarted", new OwnerRestartedCommand("n1")),
        ("nodes-changed", new NodesChangedCommand([new BodyHolder("n1", 3), new BodyHolder("n2", 4)], 2, 30_000, 7)),
        ("node-down", new NodeDownCommand("n1", 3)),
        ("node-up", new NodeUpCommand("n1", 3, 9)),
        ("node-draining", new NodeDrainingCommand("n1", IsDraining: true, IsVacating: true)),
        ("holders-changed", new HoldersChangedCommand([Id, Other], new BodyHolder("n2", 4), Added: true)),
        ("attempt-given-up", new AttemptGivenUpCommand(Id, 4, 5, [0, 2])),
        ("administer", new AdministerCommand(QueueAction.Delete, Selection, 500, "spam")),
        ("administer-due", new AdministerCommand(QueueAction.Requeue, new QueueSelection()) { IncludesDue = true }),
        ("administer-all", new AdministerCommand(QueueAction.Requeue, new QueueSelection())),
        ("suspend", new SuspendCommand(SuspensionScope.Destination, "b.example", "asked", 1_700_000_000_000)),
        ("resume", new ResumeCommand(SuspensionScope.Sender, "ann@a.example")),
    ];

    private static readonly QueuedRecipient Recipient = new(Enqueue.Envelope.Recipients[0], RecipientState.Attempting, 3, 2, 1_700_000_000_000, Result, true) { OpenEpoch = 4 };

    private static readonly QueuedMessage Message = new(
        Id, "ann@a.example", DsnReturn.Full, "env-1", [Recipient, new QueuedRecipient(Enqueue.Envelope.Recipients[1], RecipientState.Queued, 0, 0, 0, null, false)],
        123_456, BodyTraits.EightBit, Enqueue.BodyHash, Enqueue.Holders, "n1", 4, 1_600_000_000_000, "tenant");

    private static readonly HistoryEvent HistoryEvent = new(Id, 7, 2, 1_700_000_000_000, HistoryEventKind.Attempt)
    {
        Attempt = 3,
        ReversePath = "ann@a.example",
        Size = 123_456,
        Node = "n1",
        IsOver = true,
        Reason = "spam",
        Results = [new HistoryResult("bob@b.example", RecipientOutcome.Deferred, "450 later", "4.2.0", "mx.example[192.0.2.1]:25", 1_700_000_060_000)],
    };

    [Fact]
    public void Commands_in_the_log_are_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("queue-commands.golden");
        foreach (var (name, command) in Commands)
        {
            file.Holds<QueueCommand?>(name, command, c => QueueEncoding.Encode(c!), bytes => QueueEncoding.DecodeCommand(bytes));
        }

        // From before nodes could be taken out of service.
        file.Reads<QueueCommand?>("node-draining-without-vacating", new NodeDrainingCommand("n1", IsDraining: true), bytes => QueueEncoding.DecodeCommand(bytes));
        file.Close();
        Assert.Equal(
            typeof(QueueCommand).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(QueueCommand))).Select(type => type.Name).Order(StringComparer.Ordinal),
            Commands.Select(each => each.Command.GetType().Name).Distinct().Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Who_looks_at_the_log_sees_no_mail()
    {
        var mail = "Subject: secret"u8.ToArray();
        foreach (var command in (QueueCommand[])[Notice with { Body = mail }, new AttemptEndedCommand(Id, 4, 5, [], [Notice with { Body = mail }])])
        {
            var bytes = QueueEncoding.Encode(command);
            Assert.True(bytes.AsSpan().IndexOf(mail) >= 0);
            var dump = QueueEncoding.DumpCommand(bytes);
            Assert.Contains("ann@a.example", dump, StringComparison.Ordinal);
            Assert.DoesNotContain(Convert.ToBase64String(mail), dump, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Answers_are_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("queue-answers.golden");
        foreach (var status in Enum.GetValues<ApplyStatus>())
        {
            file.Holds<QueueAnswer?>(status.ToString(), new QueueAnswer(status), answer => QueueAnswer.Encode(answer!.Value.Status).ToArray(), bytes => QueueAnswer.Decode(bytes));
        }

        file.Holds<QueueAnswer?>("of-an-operator", new QueueAnswer(ApplyStatus.Accepted, 500, HasMore: true), answer => answer!.Value.Encode().ToArray(), bytes => QueueAnswer.Decode(bytes));
        file.Close();
    }

    [Fact]
    public void Records_in_databases_and_snapshots_are_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("queue-records.golden");
        file.Holds("message", Message, QueueEncoding.Encode, bytes => QueueEncoding.DecodeMessage(bytes));
        var second = Message with { Placed = 3, IsHeld = true, Recipients = [Recipient with { State = RecipientState.OwnerLost, OpenEpoch = 2 }] };
        file.Holds("message-of-version-2", second, QueueEncoding.Encode, bytes => QueueEncoding.DecodeMessage(bytes));
        file.Holds(
            "suspect", new ListedSuspect(6, new Suspect(Id, "bob@b.example", 3, SuspectReason.NoReplyAfterDot, 1_700_000_000_000, "mx.example")),
            QueueEncoding.Encode, bytes => QueueEncoding.DecodeSuspect(bytes));
        file.Holds("tombstone", new Tombstone(6, Id, 1_700_000_000_000), QueueEncoding.Encode, bytes => QueueEncoding.DecodeTombstone(bytes));
        file.Holds("finished", new FinishedId(6, 5, Id), QueueEncoding.Encode, bytes => QueueEncoding.DecodeFinished(bytes));
        file.Holds("owner-epoch", KeyValuePair.Create("n1", 4L), QueueEncoding.Encode, bytes => QueueEncoding.DecodeOwnerEpoch(bytes));
        var marks = new QueueMarks(1, 2, 3, 4, 5) { NextFinished = 6, FinishedFloor = 7, NextRemoval = 8 };
        file.Holds("marks", marks, QueueEncoding.Encode, bytes => QueueEncoding.DecodeMarks(bytes));
        file.Reads("marks-before-removals", marks with { NextRemoval = 0 }, bytes => QueueEncoding.DecodeMarks(bytes));
        file.Holds("members", Members, QueueEncoding.Encode, bytes => QueueEncoding.DecodeMembers(bytes));
        file.Reads(
            "members-without-vacating", Members with { Nodes = [Members.Nodes[0] with { IsVacating = false }, Members.Nodes[1]] }, bytes => QueueEncoding.DecodeMembers(bytes));
        file.Holds("placement", new Placement(4, Members), QueueEncoding.Encode, bytes => QueueEncoding.DecodePlacement(bytes));
        file.Holds(
            "suspension", new Suspension(SuspensionScope.Sender, "ann@a.example", "asked", 1_600_000_000_000, 1_700_000_000_000),
            QueueEncoding.Encode, bytes => QueueEncoding.DecodeSuspension(bytes));
        file.Holds("removal", new Removal(6, Id, "ann@a.example", 3, 1, 1_700_000_000_000, "spam"), QueueEncoding.Encode, bytes => QueueEncoding.DecodeRemoval(bytes));
        file.Holds("history-event", HistoryEvent, HistoryEncoding.Encode, bytes => HistoryEncoding.Decode(bytes, Id, 7, 2));
        file.Holds("end", (Index: 9L, Records: 8L), end => QueueEncoding.EncodeEnd(end.Index, end.Records), bytes => QueueEncoding.DecodeEnd(bytes));
        file.Close();
    }

    [Fact]
    public void Fields_of_a_later_minor_version_are_skipped_in_commands_and_records()
    {
        // Field 500, length-delimited, of three octets.
        byte[] later = [0xA2, 0x1F, 3, 1, 2, 3];
        var commands = GoldenFile.Open("queue-commands.golden");
        Assert.All(Commands, each => Assert.Equal(
            QueueEncodingTests.Text(each.Command), QueueEncodingTests.Text(QueueEncoding.DecodeCommand([.. commands[each.Name], .. later]))));
        var records = GoldenFile.Open("queue-records.golden");
        Assert.Equal(Message.Id, QueueEncoding.DecodeMessage([.. records["message"], .. later]).Id);
        Assert.Equal(Members, QueueEncoding.DecodeMembers([.. records["members"], .. later]));
        Assert.Equal(8, QueueEncoding.DecodeMarks([.. records["marks"], .. later]).NextRemoval);
    }

    [Fact]
    public void A_later_major_version_is_refused_by_name_in_every_record()
    {
        byte[] later = [QueueEncoding.Version + 1];
        Action[] readers =
        [
            () => QueueEncoding.DecodeCommand(later),
            () => QueueEncoding.DecodeMessage(later),
            () => QueueEncoding.DecodeSuspect(later),
            () => QueueEncoding.DecodeTombstone(later),
            () => QueueEncoding.DecodeFinished(later),
            () => QueueEncoding.DecodeOwnerEpoch(later),
            () => QueueEncoding.DecodeMarks(later),
            () => QueueEncoding.DecodeMembers(later),
            () => QueueEncoding.DecodePlacement(later),
            () => QueueEncoding.DecodeSuspension(later),
            () => QueueEncoding.DecodeRemoval(later),
            () => QueueEncoding.DecodeEnd(later),
        ];
        Assert.All(readers, read => Assert.Contains($"format {QueueEncoding.Version + 1}", Assert.Throws<NewerFormatException>(read).Message, StringComparison.Ordinal));
    }
}
