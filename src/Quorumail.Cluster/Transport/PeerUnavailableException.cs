namespace Quorumail.Cluster.Transport;

/// <summary>A peer can't be reached, or its connection broke before it answered: whether it acted is unknown.</summary>
internal sealed class PeerUnavailableException : IOException
{
    public PeerUnavailableException()
    {
    }

    public PeerUnavailableException(string message)
        : base(message)
    {
    }

    public PeerUnavailableException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
