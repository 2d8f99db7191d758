namespace Quorumail.Cluster.Log;

/// <summary>
/// The state that the log's commands make. Called by the log, one call at a time; only <see cref="FlushAsync"/> and
/// <see cref="SaveSnapshotAsync"/> run beside <see cref="Apply"/>. No method but the constructor may throw for what a command holds: an exception here stops
/// the node.
/// </summary>
public interface IReplicatedState
{
    /// <summary>Index of the last entry whose effects the state holds after its own recovery; later entries are applied again.</summary>
    long AppliedIndex { get; }

    /// <summary>Whether <see cref="Apply"/> may have to wait for a disk that is behind: then it is called by a thread that nothing else needs. For any thread.</summary>
    bool MayWait => false;

    /// <summary>
    /// Applies the commands of one entry, in order, and writes what each answers into <paramref name="answers"/>.
    /// The memory of the commands belongs to the log and is reused: copy what is kept.
    /// </summary>
    /// <param name="index">Log index; always <see cref="AppliedIndex"/> + 1 or later (entries without commands are skipped).</param>
    /// <param name="stamp">Cluster time of the entry, in milliseconds; never falls.</param>
    /// <param name="commands">At least one.</param>
    /// <param name="answers">As long as <paramref name="commands"/>; an answer not written is empty.</param>
    void Apply(long index, long stamp, IReadOnlyList<ReadOnlyMemory<byte>> commands, Span<ReadOnlyMemory<byte>> answers);

    /// <summary>
    /// Told, at a start or after a snapshot, of the commands of an entry whose effects the state holds already, because the log has
    /// not forgotten it: what they brought may have been kept elsewhere than with the state, and not be durable there. The memory belongs to the log.
    /// </summary>
    void Recall(IReadOnlyList<ReadOnlyMemory<byte>> commands)
    {
    }

    /// <summary>
    /// Makes everything applied before the call durable and returns the index up to which it is: the log may forget up to
    /// there, with the local records written before the call.
    /// </summary>
    ValueTask<long> FlushAsync(CancellationToken token);

    /// <summary>Writes the whole state, as of one index that is returned, for a node that lags too far behind.</summary>
    ValueTask<long> SaveSnapshotAsync(Stream destination, CancellationToken token);

    /// <summary>Replaces the whole state by a snapshot, durably, before it returns.</summary>
    ValueTask LoadSnapshotAsync(Stream source, long index, CancellationToken token);
}
