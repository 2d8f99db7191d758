namespace Quorumail.Cluster.Journal;

/// <summary>A record of this node alone on its way into the journal.</summary>
public abstract class LocalRecord
{
    /// <summary>Bytes.</summary>
    public abstract int Length { get; }

    /// <summary>Whether <see cref="Ended"/> waits for the disk, and not only for the file.</summary>
    public abstract bool NeedsSync { get; }

    /// <summary>Copies the record; called once, before <c>Append</c> returns.</summary>
    public abstract void CopyTo(Span<byte> destination);

    /// <summary>
    /// The record is written, and synced if it needed that, or the journal has failed. On the journal's thread, which
    /// must not be held up.
    /// </summary>
    public abstract void Ended(IOException? failure);
}
