using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Health;
using Quorumail.Cluster.State;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster;

/// <summary>
/// Takes the frames that are not the log's: heartbeats, changes of shared state in the guide's form, and questions of the
/// program around.
/// </summary>
internal sealed partial class ClusterTraffic(IPeerService? service, ILogger logger) : ITransportHandler
{
    /// <summary>Changes under way at once; further ones are dropped: their sender gets no answer either way.</summary>
    private const int UpdatesMax = 1000;

    private readonly ConcurrentDictionary<string, int> _gone = new(StringComparer.Ordinal);
    private int _updates;

    /// <summary>Told of heartbeats and connections.</summary>
    public HealthMonitor? Monitor { get; set; }

    /// <summary>Takes the changes.</summary>
    public StateStore? Store { get; set; }

    /// <summary>Whether a node's process has ended: it refuses to be dialled again.</summary>
    public bool IsGone(string nodeId, int incarnation) => _gone.TryGetValue(nodeId, out int gone) && gone == incarnation;

    public void Connected(NodeHello peer)
    {
        _gone.TryRemove(peer.NodeId, out _);
        Monitor?.Connected(peer);
    }

    public void Disconnected(NodeHello peer, bool isRefused)
    {
        if (isRefused)
        {
            _gone[peer.NodeId] = peer.Incarnation;
        }

        Monitor?.Disconnected(peer, isRefused);
    }

    public void Received(NodeHello peer, FrameType type, ReadOnlyMemory<byte> body)
    {
        if (type == FrameType.Heartbeat)
        {
            Monitor?.Received(peer, body.Span);
        }
        else if (type == FrameType.StateUpdate && StateUpdate.Read(body.Span) is { } update && Store is { } store)
        {
            _ = TakeAsync(store, peer, update);
        }
    }

    public ValueTask<ReadOnlyMemory<byte>> AnswerAsync(NodeHello peer, FrameType type, ReadOnlyMemory<byte> body, CancellationToken token) =>
        type == FrameType.Application && service is not null && peer.Incarnation > 0
            ? service.AnswerAsync(new ClusterPeer(peer.NodeId, peer.Incarnation), body, token)
            : ValueTask.FromResult(ReadOnlyMemory<byte>.Empty);

    private async Task TakeAsync(StateStore store, NodeHello peer, StateUpdate update)
    {
        try
        {
            if (Interlocked.Increment(ref _updates) > UpdatesMax)
            {
                LogDropped(logger, update.Key, peer.NodeId, "too many at once");
                return;
            }

            await Task.Yield();
            await store.TakeUpdateAsync(update.Key, update.Value, update.Timestamp, update.IsDeleted, CancellationToken.None);
        }
        catch (Exception refused) when (refused is StateException or ObjectDisposedException)
        {
            LogDropped(logger, update.Key, peer.NodeId, refused.Message);
        }
        finally
        {
            Interlocked.Decrement(ref _updates);
        }
    }

    [LoggerMessage(LogLevel.Debug, "the change of {Key} that {NodeId} sent was not made: {Reason}")]
    private static partial void LogDropped(ILogger logger, string key, string nodeId, string reason);
}
