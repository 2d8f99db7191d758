namespace Quorumail.Cluster.Journal;

/// <summary>
/// The journal's files contradict themselves or the state's. Nothing that this node could do alone makes them right: it
/// must not start; in a cluster its disk counts as wiped.
/// </summary>
public sealed class JournalException : Exception
{
    /// <summary>Tells which file, what is wrong, and what to do.</summary>
    public JournalException(string message)
        : base(message)
    {
    }

    /// <summary>Tells which file, what is wrong, and what to do.</summary>
    public JournalException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>For serializers.</summary>
    public JournalException()
    {
    }
}
