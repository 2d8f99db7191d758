using System.Text.Json;
using CsCheck;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue.Format;

namespace Quorumail.Server.Tests.Queue;

public sealed class QueueEncodingTests
{
    [Fact]
    public void Every_command_round_trips() => Generators.Command.Sample(command =>
        Text(QueueEncoding.DecodeCommand(QueueEncoding.Encode(command))) == Text(command));

    [Fact]
    public void Every_message_round_trips() => Generators.Message.Sample(message =>
        Text(QueueEncoding.DecodeMessage(QueueEncoding.Encode(message))) == Text(message));

    [Fact]
    public void Suspects_tombstones_epochs_and_marks_round_trip() => Gen.Select(
        Generators.Id, Generators.Text, Gen.Long, Gen.Int[1, 4]).Sample((id, text, number, reason) =>
        {
            var suspect = new ListedSuspect(number, new Suspect(id, text, reason, (SuspectReason)reason, number, text));
            var tombstone = new Tombstone(number, id, number);
            var marks = new QueueMarks(number, number + 1, number + 2, -1, 7) { NextFinished = number, FinishedFloor = -1, NextRemoval = number };
            var finished = new FinishedId(number, 5, id);
            return QueueEncoding.DecodeSuspect(QueueEncoding.Encode(suspect)) == suspect
                && QueueEncoding.DecodeFinished(QueueEncoding.Encode(finished)) == finished
                && QueueEncoding.DecodeTombstone(QueueEncoding.Encode(tombstone)) == tombstone
                && QueueEncoding.DecodeOwnerEpoch(QueueEncoding.Encode(new KeyValuePair<string, long>(text, number)))
                    is var (owner, epoch) && owner == text && epoch == number
                && QueueEncoding.DecodeMarks(QueueEncoding.Encode(marks)) == marks;
        });

    [Fact]
    public void Members_and_placements_round_trip() => Gen.Select(Generators.Members, Gen.Long).Sample((members, epoch) =>
        QueueEncoding.DecodeMembers(QueueEncoding.Encode(members)).Equals(members)
        && QueueEncoding.DecodePlacement(QueueEncoding.Encode(new Placement(epoch, members))) == new Placement(epoch, members));

    [Fact]
    public void Suspensions_and_removals_round_trip() => Gen.Select(
        Generators.Id, Generators.Text, Gen.Long, Gen.Int).Sample((id, text, number, count) =>
        {
            var suspension = new Suspension(SuspensionScope.Sender, text, text, number, -number);
            var removal = new Removal(number, id, text, count, -count, number, text);
            return QueueEncoding.DecodeSuspension(QueueEncoding.Encode(suspension)) == suspension
                && QueueEncoding.DecodeRemoval(QueueEncoding.Encode(removal)) == removal;
        });

    [Fact]
    public void What_the_first_version_could_say_is_said_as_it_did()
    {
        var id = QueueId.Create(1, 2);
        var envelope = new Envelope("a@b", [new EnvelopeRecipient("c@d")]);
        var enqueue = new EnqueueCommand(id, envelope, 12, BodyTraits.None, new byte[2], [new BodyHolder("n", 3)], "n");
        var ended = new AttemptEndedCommand(
            id, 4, 5, [new RecipientResult(0, RecipientOutcome.Deferred, "later", "4.0.0", "mx", 6, true)], []);
        var message = new QueuedMessage(
            id, "a@b", default, null,
            [new QueuedRecipient(envelope.Recipients[0], RecipientState.Attempting, 1, 1, 7, null, false) { OpenEpoch = 4 }], 12, default,
            new byte[2], enqueue.Holders, "n", 4, 8, "");
        (byte[] Now, string Then)[] pinned =
        [
            (QueueEncoding.Encode(enqueue), "010A2A09010000000000000015020000001A0361406222050A03634064380C4A02000052050A016E10035A016E"),
            (QueueEncoding.Encode(new AbandonCommand(id)), "01120E0901000000000000001502000000"),
            (QueueEncoding.Encode(new WithdrawCommand(id)), "011A0E0901000000000000001502000000"),
            (QueueEncoding.Encode(new ReportUnreadReplyCommand(id)), "01220E0901000000000000001502000000"),
            (QueueEncoding.Encode(new AttemptStartedCommand(id, 4, 5, [0, 1])), "012A160901000000000000001502000000180420052A020001"),
            (QueueEncoding.Encode(ended), "01322C0901000000000000001502000000180420052A1810021A056C617465722205342E302E302A026D7830063801"),
            (QueueEncoding.Encode(new OwnerRestartedCommand("n")), "013A030A016E"),
            (QueueEncoding.Encode(message), "0109010000000000000015020000001A03614062320F0A050A036340641001180120012807380C4A02000052050A016E10035A016E60046808"),
            (QueueEncoding.Encode(new QueueMarks(1, 2, 3, 4, 5) { NextFinished = 6, FinishedFloor = 7 }), "010801100218032004280530063807"),
        ];
        Assert.All(pinned, p => Assert.Equal(p.Then, Convert.ToHexString(p.Now)));
        Assert.Equal(Text(ended), Text(QueueEncoding.DecodeCommand(Convert.FromHexString(pinned[5].Then))));
        Assert.Equal(Text(message), Text(QueueEncoding.DecodeMessage(Convert.FromHexString(pinned[7].Then))));
    }

    [Fact]
    public void What_an_older_program_would_misunderstand_says_so() => Generators.Command.Sample(command =>
        QueueEncoding.Encode(command)[0] == (command is NodesChangedCommand or NodeDownCommand or NodeUpCommand
            or NodeDrainingCommand or HoldersChangedCommand or AttemptGivenUpCommand or AdministerCommand or SuspendCommand
            or ResumeCommand ? 2 : 1));

    [Fact]
    public void Fields_of_a_later_version_are_skipped() => Generators.Command.Sample(command =>
    {
        // Field 500, length-delimited, of three bytes.
        byte[] bytes = [.. QueueEncoding.Encode(command), 0xA2, 0x1F, 3, 1, 2, 3];
        return Text(QueueEncoding.DecodeCommand(bytes)) == Text(command);
    });

    [Fact]
    public void A_later_format_is_refused_and_not_guessed_at()
    {
        var bytes = QueueEncoding.Encode(new AbandonCommand(QueueId.Create(1, 2)));
        bytes[0] = QueueEncoding.Version + 1;
        Assert.Throws<NewerFormatException>(() => QueueEncoding.DecodeCommand(bytes));
    }

    [Fact]
    public void What_is_no_command_is_none_and_does_not_throw() => Gen.Byte.Array[0, 100].Sample(bytes =>
    {
        if (bytes.Length > 0)
        {
            bytes[0] = QueueEncoding.Version;
        }

        _ = QueueEncoding.DecodeCommand(bytes);
    });

    [Fact]
    public void A_dump_is_readable()
    {
        var command = new EnqueueCommand(
            QueueId.Create(1, 2), new Envelope("a@b.example", [new EnvelopeRecipient("c@d.example")]), 12,
            BodyTraits.None, new byte[16], [], "n1");
        var dump = QueueEncoding.DumpCommand(QueueEncoding.Encode(command));
        Assert.Contains("\"reverse_path\": \"a@b.example\"", dump, StringComparison.Ordinal);
        Assert.Contains("\"address\": \"c@d.example\"", dump, StringComparison.Ordinal);
    }

    /// <summary>Lists and byte arrays compare by reference in records; their text compares by content.</summary>
    internal static string Text<T>(T value) => value is null
        ? "null"
        : value.GetType().Name + JsonSerializer.Serialize(value, value.GetType());
}
