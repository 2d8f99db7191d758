using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text;
using Microsoft.Extensions.Logging;
using Quorumail.Cluster.Transport;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Tests.Transport;

/// <summary>A node that is nothing but its cluster port, on loopback, and writes down what it is told.</summary>
internal sealed class TransportNode : ITransportHandler, ILogger, IAsyncDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();
    private readonly List<string> _events = [];
    private readonly List<(Func<IReadOnlyList<string>, bool> Condition, TaskCompletionSource Met)> _waiting = [];

    private TransportNode(PortOptions options, NodeHello self)
    {
        Self = self;
        Transport = new PortTransport(options, TimeProvider.System, this);
    }

    public NodeHello Self { get; }

    public PortTransport Transport { get; }

    /// <summary>host:port to dial.</summary>
    public string Address => new PeerAddress(Transport.EndPoint!.Address.ToString(), Transport.EndPoint.Port).ToString();

    /// <summary>What questions are answered with; what was asked by default.</summary>
    public Func<FrameType, ReadOnlyMemory<byte>, CancellationToken, ValueTask<ReadOnlyMemory<byte>>> Answer { get; set; } =
        (_, body, _) => ValueTask.FromResult<ReadOnlyMemory<byte>>(body.ToArray());

    /// <summary>Whom it does not let in.</summary>
    public ConcurrentDictionary<string, string> Unwelcome { get; } = new();

    public IReadOnlyList<string> Events
    {
        get
        {
            lock (_lock)
            {
                return [.. _events];
            }
        }
    }

    /// <summary>Loopback, a free port, and pauses so short that tests don't wait.</summary>
    public static PortOptions Quick { get; } = new()
    {
        BindAddress = IPAddress.Loopback,
        BindPort = 0,
        PingInterval = TimeSpan.FromMilliseconds(100),
        RedialMin = TimeSpan.FromMilliseconds(10),
        RedialMaxLately = TimeSpan.FromMilliseconds(50),
        RedialMax = TimeSpan.FromMilliseconds(50),
    };

    public static async Task<TransportNode> StartAsync(string nodeId, PortOptions? options = null, NodeHello? self = null)
    {
        var node = new TransportNode(options ?? Quick, self ?? new NodeHello(nodeId, 0, Guid.Empty, 1, ""));
        await node.Transport.StartAsync(node.Self, node, TestContext.Current.CancellationToken);
        return node;
    }

    /// <summary>Waits until something has been written down.</summary>
    public Task UntilAsync(string happened) => UntilAsync(happened, events => events.Any(line => line.Contains(happened, StringComparison.Ordinal)));

    /// <summary>Waits until it has been written down so often.</summary>
    public Task UntilAsync(string happened, int times) =>
        UntilAsync(happened, events => events.Count(line => line.Contains(happened, StringComparison.Ordinal)) >= times);

    /// <summary>Waits until it has refused so often.</summary>
    public async Task UntilRefusedAsync(RefusalReason reason, int times)
    {
        using var patience = new CancellationTokenSource(Patience);
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        while (Transport.Counters.Refused(reason) < times)
        {
            await timer.WaitForNextTickAsync(patience.Token);
        }
    }

    public int Count(string happened) => Events.Count(line => line.Contains(happened, StringComparison.Ordinal));

    public void Connected(NodeHello peer) => Write(string.Create(CultureInfo.InvariantCulture, $"connected {peer.NodeId}/{peer.Incarnation}"));

    public void Disconnected(NodeHello peer, bool isRefused) => Write($"disconnected {peer.NodeId}{(isRefused ? " refused" : "")}");

    public void Received(NodeHello peer, FrameType type, ReadOnlyMemory<byte> body) => Write($"{type} from {peer.NodeId}: {Encoding.UTF8.GetString(body.Span)}");

    public ValueTask<ReadOnlyMemory<byte>> AnswerAsync(NodeHello peer, FrameType type, ReadOnlyMemory<byte> body, CancellationToken token) => Answer(type, body, token);

    public string? Refusal(NodeHello peer) => Unwelcome.GetValueOrDefault(peer.NodeId);

    public async Task<string> AskAsync(string nodeId, FrameType type, string question)
    {
        var answer = await Transport.AskAsync(nodeId, type, Encoding.UTF8.GetBytes(question), TestContext.Current.CancellationToken);
        return Encoding.UTF8.GetString(answer.Span);
    }

    public ValueTask DisposeAsync() => Transport.DisposeAsync();

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        Write($"log {logLevel}: {formatter(state, exception)} {exception}".TrimEnd());

    private async Task UntilAsync(string what, Func<IReadOnlyList<string>, bool> condition)
    {
        var met = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            if (condition(_events))
            {
                return;
            }

            _waiting.Add((condition, met));
        }

        try
        {
            await met.Task.WaitAsync(Patience, TestContext.Current.CancellationToken);
        }
        catch (TimeoutException)
        {
            Assert.Fail($"{Self.NodeId} waited in vain for \"{what}\"; it saw:\n{string.Join('\n', Events)}");
        }
    }

    private void Write(string line)
    {
        lock (_lock)
        {
            _events.Add(line);
            foreach (var (condition, met) in _waiting)
            {
                if (condition(_events))
                {
                    met.TrySetResult();
                }
            }

            _waiting.RemoveAll(waiting => waiting.Met.Task.IsCompleted);
        }
    }
}
