namespace Quorumail.Cluster.Log;

/// <summary>Whose command it is.</summary>
public enum CommandTarget : byte
{
    /// <summary>The cluster's own (membership, incarnations, feature level).</summary>
    Cluster = 0,

    /// <summary>The application's: goes to its <see cref="IReplicatedState"/>.</summary>
    Application = 1,

    /// <summary>The shared state's: goes to its <see cref="IReplicatedState"/>.</summary>
    Store = 2,
}

/// <summary>One command as an entry of the log holds it.</summary>
/// <param name="Target">Whose it is.</param>
/// <param name="Incarnation">Generation of the proposing node's disk.</param>
/// <param name="Sequence">
/// Of the proposer, rising; with the incarnation it names the proposal, so that a retry is known as one and applied once.
/// 0 for a proposal that is never retried.
/// </param>
/// <param name="Body">The command's bytes; they belong to the log.</param>
public readonly record struct LoggedCommand(
    CommandTarget Target,
    ulong Incarnation,
    ulong Sequence,
    ReadOnlyMemory<byte> Body);
