namespace Quorumail.Core.Cluster;

/// <summary>Limits of port 9000, each checked before anything is allocated. Origin: DESIGN section 7.</summary>
public static class FrameLimits
{
    /// <summary>Bytes before a frame's body: type (1) and length of the body (4, big-endian).</summary>
    public const int HeaderSize = 5;

    /// <summary>Bytes of a frame's body at most.</summary>
    public const int BodyMax = 1 << 20;

    /// <summary>Bytes of the number that begins a frame which asks or answers.</summary>
    public const int NumberSize = 8;

    /// <summary>Bytes of what is asked or answered at most.</summary>
    public const int PayloadMax = BodyMax - NumberSize;

    /// <summary>Bytes that a connection may send before it is authenticated.</summary>
    public const int HandshakeMax = 1024;
}
