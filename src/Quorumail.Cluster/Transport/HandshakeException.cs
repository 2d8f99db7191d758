using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>A connection was not opened.</summary>
internal sealed class HandshakeException : IOException
{
    /// <param name="reason">Why.</param>
    /// <param name="text">The same for the log.</param>
    /// <param name="isByPeer">Whether the peer refused.</param>
    /// <param name="peer">Who the peer says it is; null if it didn't come so far.</param>
    public HandshakeException(RefusalReason reason, string text, bool isByPeer, PeerIntroduction? peer)
        : base(text)
    {
        Reason = reason;
        IsByPeer = isByPeer;
        Peer = peer;
    }

    public HandshakeException()
    {
    }

    public HandshakeException(string message)
        : base(message)
    {
    }

    public HandshakeException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    public RefusalReason Reason { get; }

    public bool IsByPeer { get; }

    public PeerIntroduction? Peer { get; }
}
