namespace Quorumail.Cluster.Raft;

/// <summary>The term for which an entry was made is over; the entry did not get into the log.</summary>
internal sealed class TermPassedException : InvalidOperationException
{
    public TermPassedException()
    {
    }

    public TermPassedException(string message)
        : base(message)
    {
    }

    public TermPassedException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
