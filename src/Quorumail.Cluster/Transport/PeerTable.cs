using System.Collections.Concurrent;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>
/// Who is connected. A peer is known by its node id and may have several connections, because both sides dial: none of
/// two that cross is given up, each side sends on the one that it dialled itself if it has one, and so nothing needs to
/// be agreed on. The handler is told from here, one thing after another.
/// </summary>
internal sealed class PeerTable(PortOptions options, ITransportHandler handler, ulong process, ILogger log)
{
    private const int RememberedMax = 256;

    private readonly Lock _lock = new();
    private readonly ConcurrentDictionary<string, Peer> _peers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, NodeHello> _lost = new(StringComparer.Ordinal);
    private readonly HashSet<PeerLink> _links = [];

    // Not bounded by itself: a connection makes at most two events, and the next one is read only after its own are told.
    private readonly Channel<Event> _events = Channel.CreateUnbounded<Event>(new UnboundedChannelOptions { SingleReader = true });
    private NodeHello _self = new("", 0, Guid.Empty, 0, "");
    private int _generation;
    private bool _isClosed;

    private sealed record Event(NodeHello Hello, bool IsConnected, bool IsRefused, string Text, TaskCompletionSource? Told);

    /// <summary>Changes with every <see cref="Introduce"/>: what began before it does not count after it.</summary>
    public int Generation => Volatile.Read(ref _generation);

    /// <summary>Tells dialers that a connection has ended or that they should dial again.</summary>
    public event EventHandler? Changed;

    /// <summary>This node's name.</summary>
    public string NodeId
    {
        get
        {
            lock (_lock)
            {
                return _self.NodeId;
            }
        }
    }

    /// <summary>Peers that can be sent to.</summary>
    public IReadOnlyCollection<NodeHello> Peers => [.. _peers.Values.Where(peer => peer.Frames is not null).Select(peer => peer.Hello)];

    /// <summary>A peer that can be sent to, by its name.</summary>
    public NodeHello? Find(string nodeId) => _peers.TryGetValue(nodeId, out var peer) && peer.Frames is not null ? peer.Hello : null;

    /// <summary>All open connections.</summary>
    public IReadOnlyCollection<PeerLink> Links
    {
        get
        {
            lock (_lock)
            {
                return [.. _links];
            }
        }
    }

    /// <summary>What this node says of itself, and the generation of that.</summary>
    public (PeerIntroduction Self, int Generation) Introduction(ConnectionPurpose purpose)
    {
        lock (_lock)
        {
            var self = new PeerIntroduction(_self.NodeId, process, Generation, _self.ClusterId, _self.Incarnation, _self.FeatureLevel, _self.Address, purpose, options.Tokens.Count > 0);
            return (self, Generation);
        }
    }

    /// <summary>Whether an introduction is this process's own.</summary>
    public bool IsSelf(PeerIntroduction peer) => peer.Process == process;

    /// <summary>This node says something else of itself from now on: connections are made anew.</summary>
    public void Introduce(NodeHello self)
    {
        List<PeerLink> old;
        lock (_lock)
        {
            if (self == _self)
            {
                return;
            }

            _self = self;
            Volatile.Write(ref _generation, _generation + 1);
            old = [.. _links];
        }

        foreach (var link in old)
        {
            link.Close("this node introduces itself anew");
        }

        Changed?.Invoke(this, EventArgs.Empty);
    }

    /// <summary>The connection to send on; null if there is none.</summary>
    public PeerLink? LinkTo(string nodeId, FrameType type) =>
        !_peers.TryGetValue(nodeId, out var peer) ? null : type is FrameType.Snapshot or FrameType.Application ? peer.Bulk : peer.Frames;

    /// <summary>The round trip measured last, whichever connection measured it.</summary>
    public TimeSpan? RoundTrip(string nodeId) => _peers.TryGetValue(nodeId, out var peer) ? peer.Frames?.RoundTrip : null;

    /// <summary>Says why a peer that is who it says is not welcome; null if it is.</summary>
    public async ValueTask<Unwelcome?> JudgeAsync(PeerIntroduction peer, bool isDialled, CancellationToken token)
    {
        NodeHello self;
        lock (_lock)
        {
            self = _self;
        }

        if (string.Equals(peer.NodeId, self.NodeId, StringComparison.Ordinal))
        {
            return peer.Process == process
                ? new Unwelcome(RefusalReason.Self, "it is this node itself")
                : new Unwelcome(RefusalReason.DuplicateNodeId, $"two nodes call themselves {peer.NodeId} (node_id)");
        }

        if (peer.ClusterId != self.ClusterId && peer.ClusterId != Guid.Empty && self.ClusterId != Guid.Empty)
        {
            return new Unwelcome(RefusalReason.ForeignCluster, $"{peer.NodeId} belongs to cluster {peer.ClusterId}, {self.NodeId} to cluster {self.ClusterId}; empty the data directory of the one that is to join the other");
        }

        if (handler.Refusal(PeerLink.HelloOf(peer)) is { } text)
        {
            return new Unwelcome(RefusalReason.NotAdmitted, text);
        }

        if (!_peers.TryGetValue(peer.NodeId, out var known))
        {
            return null;
        }

        if (known.Process == peer.Process)
        {
            return isDialled && known.Generation == peer.Generation && known.HasDialled(peer.Purpose) ? new Unwelcome(RefusalReason.Redundant, $"{peer.NodeId} is connected already") : null;
        }

        // A new process under a known name: the old one is gone, or there are two.
        var alive = await Task.WhenAll(known.Links.Select(link => link.IsAliveAsync(options.ProbeTimeout, token)));
        return alive.Contains(true)
            ? new Unwelcome(RefusalReason.DuplicateNodeId, $"two nodes call themselves {peer.NodeId} (node_id); the one at {(known.Links is [var first, ..] ? first.Remote : "another address")} was there first")
            : null;
    }

    /// <summary>Takes a connection in. False if what either side says of itself has changed meanwhile, or this node stops.</summary>
    /// <param name="link">The connection.</param>
    /// <param name="generation">The generation of what this node said on it.</param>
    /// <param name="told">Ends when the handler knows the peer: frames may be read then.</param>
    public bool TryEnter(PeerLink link, int generation, out Task told)
    {
        const string replacement = "another process has taken its name, or it introduces itself anew";
        told = Task.CompletedTask;
        List<PeerLink> replaced = [];
        lock (_lock)
        {
            if (_isClosed || generation != Generation)
            {
                return false;
            }

            var nodeId = link.Hello.NodeId;
            if (_peers.TryGetValue(nodeId, out var peer) && (peer.Process != link.Process || peer.Generation != link.Generation))
            {
                if (peer.Process == link.Process && peer.Generation > link.Generation)
                {
                    return false;
                }

                replaced.AddRange(peer.Links);
                Remove(peer, replacement);
                peer = null;
            }

            peer ??= new Peer(link);
            var wasConnected = peer.Frames is not null;
            peer.Add(link);
            _peers[nodeId] = peer;
            _links.Add(link);
            if (peer.Frames is not null && !wasConnected)
            {
                var announced = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                told = announced.Task;
                _lost.Remove(nodeId);
                _events.Writer.TryWrite(new Event(peer.Hello, IsConnected: true, IsRefused: false, link.Remote, announced));
            }
        }

        foreach (var old in replaced)
        {
            old.Close(replacement);
        }

        return true;
    }

    /// <summary>A connection has ended.</summary>
    public void Leave(PeerLink link)
    {
        lock (_lock)
        {
            _links.Remove(link);
            if (_peers.TryGetValue(link.Hello.NodeId, out var peer) && peer.Remove(link, out var wasConnected))
            {
                if (peer.Links.Length == 0)
                {
                    _peers.TryRemove(peer.Hello.NodeId, out _);
                }

                if (wasConnected && peer.Frames is null)
                {
                    Lose(peer, link.EndReason);
                }
            }
        }

        Changed?.Invoke(this, EventArgs.Empty);
    }

    /// <summary>A peer that was here refuses to be dialled again.</summary>
    public void ReportGone(string nodeId)
    {
        lock (_lock)
        {
            if (_lost.Remove(nodeId, out var hello) && !_isClosed)
            {
                _events.Writer.TryWrite(new Event(hello, IsConnected: false, IsRefused: true, "", null));
            }
        }
    }

    /// <summary>Takes nothing more in; closes everything.</summary>
    public void Close()
    {
        List<PeerLink> open;
        lock (_lock)
        {
            _isClosed = true;
            open = [.. _links];
        }

        foreach (var link in open)
        {
            link.Close("this node stops");
        }
    }

    /// <summary>No event will follow: after all connections have left.</summary>
    public void EndEvents() => _events.Writer.TryComplete();

    /// <summary>Tells the handler what happens, until <see cref="EndEvents"/>.</summary>
    public async Task TellAsync()
    {
        await foreach (var happened in _events.Reader.ReadAllAsync(CancellationToken.None))
        {
            try
            {
                Tell(happened);
            }
            catch (Exception failure)
            {
                PortLog.HandlerFailed(log, failure, happened.IsConnected ? "Connected" : "Disconnected", happened.Hello.NodeId);
            }

            happened.Told?.TrySetResult();
        }
    }

    private void Tell(Event happened)
    {
        var (hello, isConnected, isRefused, text, _) = happened;
        if (isConnected)
        {
            PortLog.Connected(log, hello.NodeId, hello.Incarnation, text);
            handler.Connected(hello);
            return;
        }

        if (isRefused)
        {
            PortLog.Gone(log, hello.NodeId);
        }
        else
        {
            PortLog.Disconnected(log, hello.NodeId, text);
        }

        handler.Disconnected(hello, isRefused);
    }

    private void Remove(Peer peer, string reason)
    {
        _peers.TryRemove(peer.Hello.NodeId, out _);
        if (peer.Frames is not null)
        {
            Lose(peer, reason);
        }
    }

    private void Lose(Peer peer, string reason)
    {
        if (_lost.Count >= RememberedMax)
        {
            _lost.Clear();
        }

        _lost[peer.Hello.NodeId] = peer.Hello;
        _events.Writer.TryWrite(new Event(peer.Hello, IsConnected: false, IsRefused: false, reason, null));
    }

    /// <summary>One process at the other end, as long as it says the same of itself; changed under the table's lock, read without it.</summary>
    private sealed class Peer(PeerLink first)
    {
        private volatile PeerLink[] _all = [];
        private volatile PeerLink? _frames;
        private volatile PeerLink? _bulk;

        public ulong Process { get; } = first.Process;

        public int Generation { get; } = first.Generation;

        public NodeHello Hello { get; } = first.Hello;

        public PeerLink? Frames => _frames;

        public PeerLink? Bulk => _bulk;

        public PeerLink[] Links => _all;

        public bool HasDialled(ConnectionPurpose purpose) => _all.Any(link => link.IsDialled && link.Purpose == purpose);

        public void Add(PeerLink link)
        {
            _all = [.. _all, link];
            Choose();
        }

        public bool Remove(PeerLink link, out bool wasConnected)
        {
            wasConnected = _frames is not null;
            var rest = Array.FindAll(_all, other => other != link);
            var isOurs = rest.Length != _all.Length;
            _all = rest;
            Choose();
            return isOurs;
        }

        private void Choose()
        {
            _frames = Best(ConnectionPurpose.Frames);
            _bulk = Best(ConnectionPurpose.Bulk);
        }

        // One's own, the newest of them: the peer may not have noticed yet that an older one has broken.
        private PeerLink? Best(ConnectionPurpose purpose) =>
            Array.FindLast(_all, link => link.Purpose == purpose && link.IsDialled) ?? Array.FindLast(_all, link => link.Purpose == purpose);
    }
}
