using CsCheck;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Tests.Queue;

/// <summary>Makes commands: sensible, stale and senseless ones, over a few ids so that they meet.</summary>
internal static class QueueCommands
{
    private static readonly Gen<QueueId> Id = Gen.Int[1, 6].Select(n => QueueId.Create(n, 7));
    private static readonly Gen<string> Owner = Of("a", "b");
    private static readonly Gen<int> Index = Gen.Frequency((10, Gen.Int[0, 2]), (1, Gen.Int[-1, 4]));
    private static readonly Gen<int> Attempt = Gen.Frequency((10, Gen.Int[1, 6]), (1, Of(0, -1, int.MaxValue, int.MinValue)));
    private static readonly Gen<long> Epoch = Gen.Frequency((3, Gen.Const(0L)), (1, Gen.Long[0, 3]));

    private static readonly Gen<EnqueueCommand> Enqueue = Gen.Select(Id, Owner, Gen.Int[0, 3], Gen.Bool).Select((id, owner, recipients, isNull) =>
        new EnqueueCommand(
            id,
            new Envelope(isNull ? "" : "s@x", [.. Enumerable.Range(0, recipients).Select(i => new EnvelopeRecipient($"r{i}@y"))]),
            100, BodyTraits.None, new byte[16], [new BodyHolder(owner, 1)], owner));

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

    /// <summary>Commands with the time that passes before each. No id is proposed in two Enqueues, as the log's contract has it.</summary>
    public static Gen<(QueueCommand Command, int Wait)[]> Sequence { get; } =
        Gen.Select(Any, Gen.Int[0, 20]).Array[1, 60].Select(steps =>
        {
            var proposed = new HashSet<QueueId>();
            return steps.Where(s => IsNew(s.Item1, proposed)).ToArray();
        });

    private static Gen<T> Of<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    private static bool IsNew(QueueCommand command, HashSet<QueueId> proposed) => command switch
    {
        EnqueueCommand e => e.Envelope.Recipients.Count == 0 || proposed.Add(e.Id),
        AttemptEndedCommand a => a.Notices.All(n => proposed.Add(n.Id)),
        _ => true,
    };
}
