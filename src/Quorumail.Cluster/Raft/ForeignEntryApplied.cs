using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Raft;

/// <summary>An entry that no batch of this process made has been applied.</summary>
/// <param name="index">Of the entry.</param>
/// <param name="term">Of the entry.</param>
/// <param name="commands">Its commands; valid during the call.</param>
/// <param name="answers">A slot for each; valid during the call.</param>
/// <param name="finished">For each, whether it was not applied and nothing is known of it; valid during the call.</param>
internal delegate void ForeignEntryApplied(
    long index, long term, IReadOnlyList<LoggedCommand> commands, ReadOnlySpan<ReadOnlyMemory<byte>> answers, ReadOnlySpan<bool> finished);
