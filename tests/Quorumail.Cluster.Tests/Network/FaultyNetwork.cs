using System.Threading.Channels;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Tests.Network;

/// <summary>
/// A network in memory with faults: cuts that say so (reset), cuts that don't (silent, also one way), and delays, which are
/// drawn from a seed. Frames of one connection never overtake one another. A node's address is its name.
/// </summary>
internal sealed class FaultyNetwork(int seed) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Random _random = new(seed);
    private readonly Dictionary<string, FaultyTransport> _nodes = new(StringComparer.Ordinal);
    private readonly HashSet<(string A, string B)> _reset = [];
    private readonly HashSet<(string From, string To)> _silent = [];
    private readonly Dictionary<(string, string), Wire> _wires = [];
    private readonly HashSet<FaultyTransport> _gone = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly Dictionary<(string From, string To), (TimeSpan Min, TimeSpan Max)> _delays = [];

    /// <summary>Frames delivered so far, by type.</summary>
    public Dictionary<FrameType, int> Delivered { get; } = [];

    /// <summary>Frames for which this holds (from, to, type, body) vanish; nobody is told.</summary>
    public Func<string, string, FrameType, ReadOnlyMemory<byte>, bool>? Loses { get; set; }

    /// <summary>What is answered to a question (to, type) without it being asked; nothing: it is asked.</summary>
    public Func<string, FrameType, byte[]?>? Answers { get; set; }

    public ITransport Join(string nodeId) => new FaultyTransport(this, nodeId);

    /// <summary>Breaks the connections between two nodes, and refuses new ones.</summary>
    public void Disconnect(string a, string b)
    {
        lock (_lock)
        {
            _reset.Add((a, b));
            _reset.Add((b, a));
        }

        Settle();
    }

    /// <summary>Frames from one node to another vanish; nobody is told.</summary>
    public void Cut(string from, string to)
    {
        lock (_lock)
        {
            _silent.Add((from, to));
        }
    }

    /// <summary>Cuts a node off from all others.</summary>
    public void Isolate(string nodeId, bool silently)
    {
        string[] others;
        lock (_lock)
        {
            others = [.. _nodes.Keys.Where(n => n != nodeId)];
        }

        foreach (string other in others)
        {
            if (silently)
            {
                Cut(nodeId, other);
                Cut(other, nodeId);
            }
            else
            {
                Disconnect(nodeId, other);
            }
        }
    }

    /// <summary>Frames take a while on their way.</summary>
    public void Delay(string from, string to, TimeSpan min, TimeSpan max)
    {
        lock (_lock)
        {
            _delays[(from, to)] = (min, max);
        }
    }

    /// <summary>Undoes all cuts and delays.</summary>
    public void Heal()
    {
        lock (_lock)
        {
            _reset.Clear();
            _silent.Clear();
            _delays.Clear();
        }

        Settle();
    }

    public void Dispose() => _stop.Cancel();

    internal IReadOnlyCollection<NodeHello> PeersOf(FaultyTransport node)
    {
        lock (_lock)
        {
            return [.. node.Connections.Values.Select(c => c.Hello)];
        }
    }

    /// <summary>Cancelled when the connection that is there now breaks; nothing if there is none.</summary>
    internal CancellationToken? BrokenToken(FaultyTransport node, string peer)
    {
        lock (_lock)
        {
            return node.Connections.GetValueOrDefault(peer)?.Broken.Token;
        }
    }

    internal void Enter(FaultyTransport node)
    {
        lock (_lock)
        {
            if (!_nodes.TryAdd(node.NodeId, node))
            {
                throw new IOException($"{node.NodeId} is there already.");
            }
        }

        Settle();
    }

    internal void Leave(FaultyTransport node)
    {
        lock (_lock)
        {
            if (_nodes.GetValueOrDefault(node.NodeId) == node)
            {
                _nodes.Remove(node.NodeId);
                _gone.Add(node);
            }
        }

        Settle();
    }

    /// <summary>Makes and breaks connections until they are as they should be.</summary>
    internal void Settle(FaultyTransport? anew = null)
    {
        List<Action> told = [];
        lock (_lock)
        {
            foreach (FaultyTransport node in _nodes.Values.Concat(_gone).Distinct().ToArray())
            {
                foreach ((string name, Connection connection) in node.Connections.ToArray())
                {
                    bool stays = node != anew && connection.Peer != anew && ShouldConnect(node, connection.Peer);
                    if (!stays)
                    {
                        node.Connections.Remove(name);
                        bool isRefused = !_nodes.ContainsValue(connection.Peer);
                        connection.Broken.Cancel();
                        told.Add(() => node.Handler.Disconnected(connection.Hello, isRefused));
                    }
                }
            }

            _gone.RemoveWhere(n => n.Connections.Count == 0);
            foreach (FaultyTransport a in _nodes.Values)
            {
                foreach (FaultyTransport b in _nodes.Values)
                {
                    if (a != b && !a.Connections.ContainsKey(b.NodeId) && ShouldConnect(a, b))
                    {
                        NodeHello hello = b.Self;
                        a.Connections.Add(b.NodeId, new Connection(b, hello, new CancellationTokenSource()));
                        told.Add(() => a.Handler.Connected(hello));
                    }
                }
            }
        }

        told.ForEach(static t => t());
    }

    internal bool Send(FaultyTransport from, string to, FrameType type, ReadOnlyMemory<byte> body, Func<FaultyTransport, NodeHello, Task> deliver)
    {
        Connection? connection;
        Wire wire;
        lock (_lock)
        {
            if (!from.Connections.TryGetValue(to, out connection))
            {
                return false;
            }

            (string, string) key = (from.NodeId, to + (type is FrameType.Snapshot or FrameType.SnapshotTaken ? "/bulk" : string.Empty));
            if (!_wires.TryGetValue(key, out wire!))
            {
                _wires.Add(key, wire = new Wire(_stop.Token));
            }
        }

        if (Loses?.Invoke(from.NodeId, to, type, body) == true)
        {
            return true;
        }

        TimeSpan delay = DelayOf(from.NodeId, to);
        NodeHello hello = from.Self;
        wire.Write(delay, () =>
        {
            lock (_lock)
            {
                if (_silent.Contains((from.NodeId, to)) || connection.Broken.IsCancellationRequested)
                {
                    return Task.CompletedTask;
                }

                Delivered[type] = Delivered.GetValueOrDefault(type) + 1;
            }

            return deliver(connection.Peer, hello);
        });
        return true;
    }

    private bool ShouldConnect(FaultyTransport a, FaultyTransport b) =>
        _nodes.ContainsValue(a) && _nodes.ContainsValue(b) && !_reset.Contains((a.NodeId, b.NodeId))
        && (a.Addresses.Contains(b.NodeId) || b.Addresses.Contains(a.NodeId))
        && (a.Self.ClusterId == b.Self.ClusterId || a.Self.ClusterId == Guid.Empty || b.Self.ClusterId == Guid.Empty)
        && (a.Connections.ContainsKey(b.NodeId) || (a.Handler.Refusal(b.Self) is null && b.Handler.Refusal(a.Self) is null));

    private TimeSpan DelayOf(string from, string to)
    {
        lock (_lock)
        {
            return _delays.TryGetValue((from, to), out (TimeSpan Min, TimeSpan Max) delay)
                ? delay.Min + ((delay.Max - delay.Min) * _random.NextDouble())
                : TimeSpan.Zero;
        }
    }

    /// <summary>One side's view of a connection.</summary>
    internal sealed record Connection(FaultyTransport Peer, NodeHello Hello, CancellationTokenSource Broken);

    /// <summary>Delivers in order.</summary>
    private sealed class Wire
    {
        private readonly Channel<(DateTime At, Func<Task> Deliver)> _frames = Channel.CreateUnbounded<(DateTime, Func<Task>)>();

        public Wire(CancellationToken token) => _ = Task.Run(() => DeliverAsync(token), CancellationToken.None);

        public void Write(TimeSpan delay, Func<Task> deliver) => _frames.Writer.TryWrite((DateTime.UtcNow + delay, deliver));

        private async Task DeliverAsync(CancellationToken token)
        {
            try
            {
                await foreach ((DateTime at, Func<Task> deliver) in _frames.Reader.ReadAllAsync(token))
                {
                    TimeSpan left = at - DateTime.UtcNow;
                    if (left > TimeSpan.Zero)
                    {
                        await Task.Delay(left, token);
                    }

                    await deliver();
                }
            }
            catch (OperationCanceledException)
            {
                // The test is over.
            }
        }
    }
}
