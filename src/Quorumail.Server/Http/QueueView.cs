using Quorumail.Core.Queue;

namespace Quorumail.Server.Http;

/// <summary>What the administration interface sees of an open queue.</summary>
/// <param name="Counts">Messages by state.</param>
/// <param name="Messages">The oldest messages, at most as many as asked for.</param>
/// <param name="Suspects">The latest suspects, at most as many as asked for.</param>
/// <param name="CommitIndex">Of the replicated log.</param>
/// <param name="AppliedIndex">Of the replicated log.</param>
internal sealed record QueueView(
    Func<QueueCounts> Counts,
    Func<int, IReadOnlyList<QueuedMessage>> Messages,
    Func<int, IReadOnlyList<Suspect>> Suspects,
    Func<long> CommitIndex,
    Func<long> AppliedIndex)
{
    /// <summary>Term of the replicated log.</summary>
    public Func<long> Term { get; init; } = () => 0;
}
