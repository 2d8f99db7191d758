using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Tests.Network;

/// <summary>A node's end of the faulty network.</summary>
internal sealed class FaultyTransport(FaultyNetwork network, string nodeId) : ITransport
{
    private NodeHello? _self;
    private ITransportHandler? _handler;

    public string NodeId => nodeId;

    public NodeHello Self => _self!;

    public ITransportHandler Handler => _handler!;

    /// <summary>By the peer's name; guarded by the network.</summary>
    public Dictionary<string, FaultyNetwork.Connection> Connections { get; } = new(StringComparer.Ordinal);

    public HashSet<string> Addresses { get; private set; } = [];

    public IReadOnlyCollection<NodeHello> Peers => network.PeersOf(this);

    public IReadOnlyCollection<DialledAddress> Dialled => [.. Addresses.Select(a =>
        a == nodeId || Peers.Any(p => p.NodeId == a) ? new DialledAddress(a, a, string.Empty) : new DialledAddress(a, null, "no route"))];

    public Task StartAsync(NodeHello self, ITransportHandler handler, CancellationToken token)
    {
        _self = self;
        _handler = handler;
        network.Enter(this);
        return Task.CompletedTask;
    }

    public void Introduce(NodeHello self)
    {
        if (_self != self)
        {
            _self = self;
            network.Settle(anew: this);
        }
    }

    public void Dial(IReadOnlyCollection<string> addresses)
    {
        Addresses = [.. addresses.Select(a => a.Split(':')[0])];
        network.Settle();
    }

    public bool TrySend(string nodeId, FrameType type, ReadOnlyMemory<byte> body)
    {
        byte[] copy = body.ToArray();
        return network.Send(this, nodeId, type, copy, (peer, from) =>
        {
            peer.Handler.Received(from, type, copy);
            return Task.CompletedTask;
        });
    }

    public async Task<ReadOnlyMemory<byte>> AskAsync(string nodeId, FrameType type, ReadOnlyMemory<byte> body, CancellationToken token)
    {
        Assert.InRange(body.Length, 0, FrameLimits.PayloadMax);
        CancellationToken broken = network.BrokenToken(this, nodeId) ?? throw new PeerUnavailableException($"{nodeId} is not connected.");
        TaskCompletionSource<ReadOnlyMemory<byte>> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        byte[] copy = body.ToArray();
        bool isSent = network.Send(this, nodeId, type, copy, (peer, from) =>
        {
            _ = AnswerAsync(peer, from, type, copy, answer, broken);
            return Task.CompletedTask;
        });
        if (!isSent)
        {
            throw new PeerUnavailableException($"{nodeId} is not connected.");
        }

        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(token, broken);
        try
        {
            return await answer.Task.WaitAsync(either.Token);
        }
        catch (OperationCanceledException given) when (broken.IsCancellationRequested && !token.IsCancellationRequested)
        {
            throw new PeerUnavailableException($"The connection to {nodeId} broke.", given);
        }
    }

    public ValueTask DisposeAsync()
    {
        network.Leave(this);
        return ValueTask.CompletedTask;
    }

    private async Task AnswerAsync(
        FaultyTransport peer, NodeHello from, FrameType type, byte[] body, TaskCompletionSource<ReadOnlyMemory<byte>> answer, CancellationToken broken)
    {
        try
        {
            ReadOnlyMemory<byte> bytes = network.Answers?.Invoke(peer.NodeId, type) ?? await peer.Handler.AnswerAsync(from, type, body, broken);
            byte[] copy = bytes.ToArray();
            network.Send(peer, nodeId, type + 1, copy, (_, _) =>
            {
                answer.TrySetResult(copy);
                return Task.CompletedTask;
            });
        }
        catch (OperationCanceledException)
        {
            // The connection is gone, and with it the asker.
        }
    }
}
