using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>
/// Carries frames between nodes: over port 9000, or over the faulty network of the tests. It dials every address it is
/// told of, keeps dialling, and knows a peer by the name in its handshake; who dialled whom does not matter. Large
/// frames (<see cref="FrameType.Snapshot"/>, <see cref="FrameType.Application"/>) have a connection of their own, so that nothing waits behind them.
/// </summary>
internal interface ITransport : IAsyncDisposable
{
    /// <summary>Peers that can be sent to now.</summary>
    IReadOnlyCollection<NodeHello> Peers { get; }

    /// <summary>A peer that can be sent to now, by its name.</summary>
    NodeHello? Find(string nodeId) => Peers.FirstOrDefault(peer => string.Equals(peer.NodeId, nodeId, StringComparison.Ordinal));

    /// <summary>The addresses to dial, and who answered there.</summary>
    IReadOnlyCollection<DialledAddress> Dialled => [];

    /// <summary>Begins to listen; dials nobody before <see cref="Dial"/>.</summary>
    /// <exception cref="IOException">The port is taken.</exception>
    Task StartAsync(NodeHello self, ITransportHandler handler, CancellationToken token);

    /// <summary>Changes what this node says of itself. Connections are made anew.</summary>
    void Introduce(NodeHello self);

    /// <summary>Replaces the addresses to dial (host:port, one's own may be among them); names are resolved at every dial.</summary>
    void Dial(IReadOnlyCollection<string> addresses);

    /// <summary>Sends a frame that wants no answer. False if the peer is not connected, or its connection's buffer is full.</summary>
    bool TrySend(string nodeId, FrameType type, ReadOnlyMemory<byte> body);

    /// <summary>Sends a frame that asks and waits for the answer, which belongs to the caller.</summary>
    /// <param name="nodeId">The peer's name.</param>
    /// <param name="type">The frame's type, even.</param>
    /// <param name="body">At most <see cref="FrameLimits.PayloadMax"/> bytes; must not change until the task ends.</param>
    /// <param name="token">Ends the waiting; the peer may have acted or act still.</param>
    /// <exception cref="PeerUnavailableException">Not connected, or the connection broke before the answer came.</exception>
    Task<ReadOnlyMemory<byte>> AskAsync(string nodeId, FrameType type, ReadOnlyMemory<byte> body, CancellationToken token);

    /// <summary>Time from question to answer, measured about every second; null if not connected or not measured.</summary>
    TimeSpan? RoundTrip(string nodeId) => null;
}
