using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>Where TLS was expected, the peer refused in plain frames.</summary>
internal sealed class PlainAnswerException : IOException
{
    public PlainAnswerException(HandshakeStep refusal)
        : base(refusal.Text) => Refusal = refusal;

    public PlainAnswerException()
    {
    }

    public PlainAnswerException(string message)
        : base(message)
    {
    }

    public PlainAnswerException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>What it said.</summary>
    public HandshakeStep Refusal { get; }
}
