using Quorumail.Cluster.Log;
using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue;
using Quorumail.Server.Queue.History;

namespace Quorumail.Server.Http;

/// <summary>What an operator can look up in the queue, which works without a majority too, and change, which does not.</summary>
/// <param name="Find">A message; null if it is not in the queue.</param>
/// <param name="Select">Messages that are meant, after an id, at most as many as asked for.</param>
/// <param name="CountsByDomain">All domains for which messages wait, those of the most first.</param>
/// <param name="Suspects">Suspects after a sequence number, oldest first, at most as many as asked for.</param>
/// <param name="Suspensions">The suspensions in force, by scope and name.</param>
/// <param name="Removals">Messages that operators have removed, below a sequence number, latest first, at most as many as asked for.</param>
/// <param name="Propose">Changes something through the log.</param>
/// <param name="Time">Cluster time in milliseconds.</param>
internal sealed record QueueAdministration(
    Func<QueueId, QueuedMessage?> Find,
    Func<QueueSelection, QueueId?, int, QueuePage> Select,
    Func<IReadOnlyList<DomainCounts>> CountsByDomain,
    Func<long, int, IReadOnlyList<ListedSuspect>> Suspects,
    Func<IReadOnlyList<Suspension>> Suspensions,
    Func<long, int, IReadOnlyList<Removal>> Removals,
    Func<QueueCommand, CancellationToken, ValueTask<QueueProposal>> Propose,
    Func<long> Time)
{
    /// <summary>What has become of a message, one that has left the queue, too; null if nothing is noted.</summary>
    public Func<QueueId, ValueTask<HistoryAnswer?>> History { get; init; } = static _ => ValueTask.FromResult<HistoryAnswer?>(null);

    /// <summary>This node's name.</summary>
    public string NodeId { get; init; } = "";

    /// <summary>Whether a node is known to be down.</summary>
    public Func<string, bool> IsDown { get; init; } = static _ => false;

    /// <summary>Whether all members know a requeue of recipients that are due.</summary>
    public Func<bool> KnowRequeueOfDue { get; init; } = static () => true;

    /// <summary>Why this node begins nothing more for an address now; null: for no reason of its destination.</summary>
    public Func<string, DestinationRest?> RestOf { get; init; } = static _ => null;

    /// <summary>How many suspects are listed, and how many have been dropped because there were too many.</summary>
    public Func<(int Listed, long Overflowed)> SuspectCounts { get; init; } = static () => default;

    /// <summary>How many removed messages are listed.</summary>
    public Func<int> RemovalCount { get; init; } = static () => 0;

    /// <summary>Milliseconds of cluster time of the last entry of the log that made this queue; 0: none since the start.</summary>
    public Func<long> AppliedAt { get; init; } = static () => 0;

    /// <summary>A queue without messages that takes no commands.</summary>
    public static QueueAdministration Empty { get; } = new(
        _ => null,
        (_, _, _) => new QueuePage([], 0),
        () => [],
        (_, _) => [],
        () => [],
        (_, _) => [],
        (_, _) => ValueTask.FromResult(new QueueProposal(ProposalOutcome.Refused, default, "the queue takes no commands")),
        () => 0);

    /// <summary>Of a queue that is open.</summary>
    public static QueueAdministration Of(MailQueue queue) => new(
        id => queue.TryGet(id, out var message) ? message : null,
        queue.Select,
        queue.CountsByDomain,
        queue.ListedSuspects,
        () => queue.Suspensions,
        queue.Removals,
        queue.ProposeAsync,
        () => queue.ClusterTime)
    {
        History = queue.HistoryOfAsync,
        NodeId = queue.NodeId,
        IsDown = queue.IsDown,
        SuspectCounts = () => queue.SuspectCounts,
        RemovalCount = () => queue.RemovalCount,
        AppliedAt = () => queue.AppliedAt,
    };
}
