using System.Collections.Concurrent;
using System.Threading.Channels;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster.Health;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Tests.Health;

public sealed class HealthMonitorTests
{
    private static readonly NodeHello Peer = new("n2", 1, Guid.Empty, 1, "n2:9000");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Heartbeats_carry_real_figures_to_every_peer_in_the_guides_form()
    {
        PeerTransport transport = new();
        HealthLimits limits = new() { HeartbeatInterval = TimeSpan.FromMilliseconds(50), HeartbeatTimeout = TimeSpan.FromMilliseconds(150) };
        HealthMonitor monitor = new(
            limits, transport, "n1", () => new OwnState(NodeRole.Leader, "n1", true, 7, 7), _ => null, new ScriptedLoad(), TimeProvider.System, NullLogger.Instance);
        await using (monitor)
        {
            monitor.Start();
            for (int i = 0; i < 3; i++)
            {
                Heartbeat heartbeat = await transport.Sent.Reader.ReadAsync(Token);
                Assert.Equal(("n1", NodeRole.Leader), (heartbeat.NodeId, heartbeat.Role));
                Assert.InRange(heartbeat.Timestamp, DateTimeOffset.UtcNow.ToUnixTimeSeconds() - 5, DateTimeOffset.UtcNow.ToUnixTimeSeconds());
                Assert.Equal(("v1.2.3", 42L, 1500L), (heartbeat.Metadata.Version, heartbeat.Metadata.ActiveConnections, heartbeat.Metadata.MessagesProcessed));
                Assert.InRange(heartbeat.Metadata.MemoryUsageMb, 10, 10_000);
                Assert.InRange(heartbeat.Metadata.CpuUsage, 0, 100.0 * Environment.ProcessorCount);
                Assert.Equal(new NodeCondition(NodeStatus.Healthy, "", 7), heartbeat.Condition);
            }
        }
    }

    [Fact]
    public async Task A_heartbeat_in_anothers_name_is_not_believed()
    {
        PeerTransport transport = new();
        HealthMonitor monitor = new(
            new HealthLimits(), transport, "n1", () => default, claim => claim.Hash == 1, new ScriptedLoad(), TimeProvider.System, NullLogger.Instance);
        await using (monitor)
        {
            monitor.Connected(Peer);
            Heartbeat greeting = await transport.Sent.Reader.ReadAsync(Token);
            System.Buffers.ArrayBufferWriter<byte> body = new();
            greeting.Write(body);
            monitor.Received(Peer, body.WrittenSpan);
            Assert.Null(monitor.Of("n1", null).Heartbeat);
            Assert.Null(monitor.Of("n2", null).Heartbeat);

            body.Clear();
            (greeting with { NodeId = "n2" }).Write(body);
            monitor.Received(Peer, body.WrittenSpan);
            Assert.NotNull(monitor.Of("n2", null).Heartbeat);
        }
    }

    [Fact]
    public async Task A_node_that_applied_the_log_with_other_results_is_degraded_until_it_starts_again()
    {
        PeerTransport transport = new();
        HealthMonitor monitor = new(
            new HealthLimits(), transport, "n1", () => default, claim => claim.UpTo == 512 ? claim.Hash == 1 : null, new ScriptedLoad(), TimeProvider.System, NullLogger.Instance);
        await using (monitor)
        {
            monitor.Connected(Peer);
            Hear(new StateClaim(512, 1));
            Hear(new StateClaim(1024, 2));
            Assert.Equal(NodeStatus.Healthy, monitor.Of("n2", null).Status);
            Hear(new StateClaim(512, 2));
            Hear(new StateClaim(1024, 2));
            PeerHealth health = monitor.Of("n2", null);
            Assert.Equal(NodeStatus.Degraded, health.Status);
            Assert.Contains("another state", health.Reason, StringComparison.Ordinal);

            monitor.Disconnected(Peer, isRefused: true);
            Hear(new StateClaim(1024, 2));
            Assert.Equal(NodeStatus.Healthy, monitor.Of("n2", null).Status);
        }

        void Hear(StateClaim claim)
        {
            System.Buffers.ArrayBufferWriter<byte> body = new();
            new Heartbeat("n2", NodeRole.Follower, 1, new HeartbeatMetadata("v1", 1, 2, 3, 4, 5))
            {
                Condition = new NodeCondition(NodeStatus.Healthy, "", 5) { State = claim },
            }.Write(body);
            monitor.Received(Peer, body.WrittenSpan);
        }
    }

    private sealed class PeerTransport : ITransport
    {
        public Channel<Heartbeat> Sent { get; } = Channel.CreateUnbounded<Heartbeat>();

        public ConcurrentQueue<FrameType> Asked { get; } = new();

        public IReadOnlyCollection<NodeHello> Peers => [Peer];

        public Task StartAsync(NodeHello self, ITransportHandler handler, CancellationToken token) => Task.CompletedTask;

        public void Introduce(NodeHello self)
        {
        }

        public void Dial(IReadOnlyCollection<string> addresses)
        {
        }

        public bool TrySend(string nodeId, FrameType type, ReadOnlyMemory<byte> body)
        {
            Assert.Equal(("n2", FrameType.Heartbeat), (nodeId, type));
            return Sent.Writer.TryWrite(Heartbeat.Read(body.Span)!);
        }

        public Task<ReadOnlyMemory<byte>> AskAsync(string nodeId, FrameType type, ReadOnlyMemory<byte> body, CancellationToken token)
        {
            Asked.Enqueue(type);
            return Task.FromResult(ReadOnlyMemory<byte>.Empty);
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
