using CsCheck;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Tests.Queue;

/// <summary>Makes commands: sensible, stale and senseless ones, over a few ids so that they meet.</summary>
internal static class QueueCommands
{
    private static readonly Gen<QueueId> Id = Gen.Int[1, 6].Select(n => QueueId.Create(n, 7));
    private static readonly Gen<string> Owner = Of("a", "b");
    private static readonly Gen<BodyHolder> Holder = Gen.Select(Of("a", "b", "c"), Gen.Frequency((6, Gen.Const(1L)), (1, Gen.Const(2L))))
        .Select((node, incarnation) => new BodyHolder(node, incarnation));
    private static readonly Gen<int> Index = Gen.Frequency((10, Gen.Int[0, 2]), (1, Gen.Int[-1, 4]));
    private static readonly Gen<int> Attempt = Gen.Frequency((10, Gen.Int[1, 6]), (1, Of(0, -1, int.MaxValue, int.MinValue)));
    private static readonly Gen<long> Epoch = Gen.Frequency((3, Gen.Const(0L)), (1, Gen.Long[0, 3]));

    private static readonly Gen<EnqueueCommand> Enqueue = Gen.Select(Id, Owner, Gen.Int[0, 3], Gen.Bool, Holder.Array[0, 2]).Select((id, owner, recipients, isNull, more) =>
        new EnqueueCommand(
            id,
            new Envelope(isNull ? "" : "s@x", [.. Enumerable.Range(0, recipients).Select(i => new EnvelopeRecipient($"r{i}@y"))]),
            100, BodyTraits.None, new byte[16], [new BodyHolder(owner, 1), .. more], owner));

    private static readonly Gen<RecipientResult> Result = Gen.Select(Index, Gen.Int[0, 6], Gen.Long[0, 1000], Gen.Bool)
        .Select((index, outcome, next, noticed) =>
            new RecipientResult(index, (RecipientOutcome)outcome, "reply", "4.0.0", "hop", next, noticed));

    // Notices have ids of their own, as derived ids have.
    private static readonly Gen<EnqueueCommand[]> Notices =
        Gen.Select(Enqueue, Gen.UInt[100, 110]).Select((e, n) => e with { Id = QueueId.Create(e.Id.Milliseconds, n) }).Array[0, 2];

    private static readonly Gen<QueueCommand> Any = Gen.Frequency(
        (6, Enqueue.Select(c => (QueueCommand)c)),
        (1, Id.Select(id => (QueueCommand)new AbandonCommand(id))),
        (2, Id.Select(id => (QueueCommand)new WithdrawCommand(id))),
        (1, Id.Select(id => (QueueCommand)new ReportUnreadReplyCommand(id))),
        (8, Gen.Select(Id, Epoch, Attempt, Index.Array[0, 3]).Select((id, e, a, r) =>
            (QueueCommand)new AttemptStartedCommand(id, e, a, r))),
        (10, Gen.Select(Id, Epoch, Attempt, Result.Array[0, 3], Notices).Select((id, e, a, r, n) =>
            (QueueCommand)new AttemptEndedCommand(id, e, a, r, n))),
        (1, Of("a", "b", "").Select(o => (QueueCommand)new OwnerRestartedCommand(o))));

    private static readonly Gen<QueueCommand> OfNodes = Gen.Frequency(
        (2, Gen.Select(Holder.Array[1, 3], Gen.Int[0, 2], Gen.Long[0, 30], Gen.Long[0, 2]).Select((nodes, copies, wait, version) =>
            (QueueCommand)new NodesChangedCommand(nodes, copies, wait, version))),
        (2, Gen.Long[0, 2].Select(version => (QueueCommand)new NodesChangedCommand(
            [new BodyHolder("a", 1), new BodyHolder("b", 1), new BodyHolder("c", 1)], 1, 25, version))),
        (4, Holder.Select(h => (QueueCommand)new NodeDownCommand(h.Node, h.Incarnation))),
        (4, Gen.Select(Holder, Gen.Long[0, 3]).Select((h, life) => (QueueCommand)new NodeUpCommand(h.Node, h.Incarnation, life))),
        (2, Gen.Select(Of("a", "b", "d"), Gen.Bool, Gen.Bool).Select((node, draining, vacating) => (QueueCommand)new NodeDrainingCommand(node, draining, vacating))),
        (2, Gen.Select(Id.Array[0, 3], Holder, Gen.Bool).Select((ids, h, added) => (QueueCommand)new HoldersChangedCommand(ids, h, added))),
        (3, Gen.Select(Id, Epoch, Attempt, Index.Array[0, 2]).Select((id, e, a, r) => (QueueCommand)new AttemptGivenUpCommand(id, e, a, r))));

    private static readonly Gen<QueueSelection> Selection = Gen.Select(
        Id.Array[0, 3], Gen.Int[0, 9], Gen.Int[0, 5], Gen.Int[0, 5], Gen.Int[0, 30]).Select((ids, which, text, state, age) => new QueueSelection
        {
            Ids = which < 4 ? ids : null,
            Sender = text == 0 ? "S@x" : text == 1 ? "" : null,
            Recipient = text == 2 ? "R1@y" : null,
            Domain = text == 3 ? "Y" : null,
            State = state < 4 ? (MessageState)state : null,
            MinAge = age,
        });

    private static readonly Gen<QueueCommand> OfOperators = Gen.Frequency(
        (6, Gen.Select(Gen.Frequency((9, Gen.Int[1, 4]), (1, Gen.Int[0, 5])), Selection, Gen.Int[0, 4]).Select((action, selection, limit) =>
            (QueueCommand)new AdministerCommand((QueueAction)action, selection, limit, "reason"))),
        (1, Gen.Select(Of("y", "Y.", "z", ""), Gen.Int[0, 60]).Select((domain, until) =>
            (QueueCommand)new SuspendCommand(SuspensionScope.Destination, domain, "reason", until))),
        (1, Gen.Select(Of("s@x", "S@X", ""), Gen.Int[0, 60]).Select((sender, until) =>
            (QueueCommand)new SuspendCommand(SuspensionScope.Sender, sender, "reason", until))),
        (2, Gen.Select(Of("y", "z", "s@x", ""), Gen.Bool).Select((name, isSender) =>
            (QueueCommand)new ResumeCommand(isSender ? SuspensionScope.Sender : SuspensionScope.Destination, name))));

    /// <summary>Commands with the time that passes before each. No id is proposed in two Enqueues, as the log's contract has it.</summary>
    public static Gen<(QueueCommand Command, int Wait)[]> Sequence { get; } =
        SequenceOf(Any);

    /// <summary>The same in a cluster, whose members come and go. The epoch of a command is the message's, or one or two less.</summary>
    public static Gen<(QueueCommand Command, int Wait)[]> ClusterSequence { get; } =
        SequenceOf(Gen.Frequency((12, Any), (4, OfNodes), (3, OfOperators)));

    /// <summary>The command with the epoch that its message has now, less what it says.</summary>
    public static QueueCommand AtEpochOf(QueueState state, QueueCommand command) => command switch
    {
        AttemptStartedCommand c => c with { Epoch = EpochOf(state, c.Id) - c.Epoch },
        AttemptEndedCommand c => c with { Epoch = EpochOf(state, c.Id) - c.Epoch },
        AttemptGivenUpCommand c => c with { Epoch = EpochOf(state, c.Id) - c.Epoch },
        _ => command,
    };

    private static Gen<(QueueCommand Command, int Wait)[]> SequenceOf(Gen<QueueCommand> commands) =>
        Gen.Select(commands, Gen.Int[0, 20]).Array[1, 60].Select(steps =>
        {
            var proposed = new HashSet<QueueId>();
            return steps.Where(s => IsNew(s.Item1, proposed)).ToArray();
        });

    private static long EpochOf(QueueState state, QueueId id) => state.TryGet(id, out var message) ? message.Epoch : 0;

    private static Gen<T> Of<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    private static bool IsNew(QueueCommand command, HashSet<QueueId> proposed) => command switch
    {
        EnqueueCommand e => e.Envelope.Recipients.Count == 0 || proposed.Add(e.Id),
        AttemptEndedCommand a => a.Notices.All(n => proposed.Add(n.Id)),
        _ => true,
    };
}
