namespace Quorumail.Cluster.Journal;

/// <summary>
/// Keeps what the journal makes durable for this node alone. Local records may be forgotten once they are durable here.
/// </summary>
public interface ILocalRecords
{
    /// <summary>
    /// Told of every record found at a start, in order, before anything else is asked: what an earlier life has kept
    /// elsewhere may come again. The memory belongs to the journal.
    /// </summary>
    void Recovered(ReadOnlySpan<byte> record);

    /// <summary>Makes durable, elsewhere, whatever was recovered or appended before the call. Must not append.</summary>
    /// <exception cref="IOException">The disk has failed.</exception>
    void MakeDurable();
}
