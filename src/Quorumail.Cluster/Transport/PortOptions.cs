using System.Net;

namespace Quorumail.Cluster.Transport;

/// <summary>How this node listens on and speaks through its cluster port. The defaults suit a local network.</summary>
public sealed record PortOptions
{
    /// <summary>Address to listen on.</summary>
    public IPAddress BindAddress { get; init; } = IPAddress.Any;

    /// <summary>Port to listen on (the guide: 9000); 0 takes a free one.</summary>
    public int BindPort { get; init; } = 9000;

    /// <summary>At most two tokens, both valid; the first is the one in use. None: peers are not authenticated.</summary>
    public IReadOnlyList<string> Tokens { get; init; } = [];

    /// <summary>Certificate and trust; null for plain connections.</summary>
    public PortCertificate? Certificate { get; init; }

    /// <summary>How long a connection may take until both sides have accepted it. Origin: DESIGN section 7.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long connecting to one address may take.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Accepted connections that are not authenticated yet, at most; further ones are closed at once.</summary>
    public int UnauthenticatedMax { get; init; } = 64;

    /// <summary>Accepted connections at most: four a peer, with room for ones that are about to end.</summary>
    public int ConnectionsMax { get; init; } = 512;

    /// <summary>Pause between two questions whether a peer is there.</summary>
    public TimeSpan PingInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>A connection that brings nothing for so long is closed: some pings, so that one lost packet doesn't count.</summary>
    public TimeSpan SilenceMax { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long an earlier process of the same name may take to show that it lives, before a new one takes its place.</summary>
    public TimeSpan ProbeTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>First pause after a failed dial; each further one is twice as long.</summary>
    public TimeSpan RedialMin { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Longest pause between dials to a peer that was there within <see cref="LatelyThere"/>.</summary>
    public TimeSpan RedialMaxLately { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Longest pause between dials to any other peer.</summary>
    public TimeSpan RedialMax { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>What counts as lately.</summary>
    public TimeSpan LatelyThere { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Pause before an address that turned out to be one's own is looked at again: addresses move.</summary>
    public TimeSpan OwnAddressPause { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Bytes that may wait to be sent on one connection: some frames of the largest kind.</summary>
    public int SendBuffer { get; init; } = 8 << 20;

    /// <summary>Questions of one peer that may be in work on one connection; no more are read then.</summary>
    public int QuestionsMax { get; init; } = 1024;

    /// <summary>Bytes of such questions.</summary>
    public int QuestionBytesMax { get; init; } = 32 << 20;

    /// <summary>Finds the addresses of a name; the system's resolver by default.</summary>
    public Func<string, CancellationToken, Task<IPAddress[]>> Resolve { get; init; } = Dns.GetHostAddressesAsync;

    /// <summary>Addresses to dial at most; a cluster has 3 to 7 nodes.</summary>
    public int AddressesMax { get; init; } = 64;
}
