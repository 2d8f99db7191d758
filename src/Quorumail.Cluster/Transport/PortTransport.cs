using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Quorumail.Core;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>
/// The cluster port (the guide: 9000): listens, dials, keeps the connections alive and sends frames over them. Of two
/// nodes that dial one another both connections stay, each with its twin for what is large.
/// </summary>
internal sealed class PortTransport : ITransport
{
    private static readonly TimeSpan RareInterval = TimeSpan.FromMinutes(5);

    private readonly PortOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly PortHandshake _handshake;
    private readonly RareLog _rarely;
    private readonly RunningTasks _running = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lock _lock = new();
    private readonly Dictionary<string, (PeerDialer Dialer, CancellationTokenSource Stop)> _dialled = new(StringComparer.Ordinal);
    private readonly ulong _process = BinaryPrimitives.ReadUInt64LittleEndian(RandomNumberGenerator.GetBytes(sizeof(ulong)));
    private readonly TaskCompletionSource _listening = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ITransportHandler? _handler;
    private PeerTable? _table;
    private Socket? _listener;
    private Task _telling = Task.CompletedTask;
    private int _unauthenticated;
    private bool _isStopping;

    public PortTransport(PortOptions options, TimeProvider time, ILogger log)
    {
        _options = options;
        _time = time;
        _log = log;
        _handshake = new PortHandshake(options, time);
        _rarely = new RareLog(time, RareInterval);
    }

    public IReadOnlyCollection<NodeHello> Peers => _table?.Peers ?? [];

    /// <inheritdoc/>
    public NodeHello? Find(string nodeId) => _table?.Find(nodeId);

    public IReadOnlyCollection<DialledAddress> Dialled
    {
        get
        {
            lock (_lock)
            {
                return [.. _dialled.Values.Select(d => d.Dialer.Answer)];
            }
        }
    }

    /// <summary>What went through the port.</summary>
    public PortCounters Counters { get; } = new();

    /// <summary>Completes when it listens; never if it can't.</summary>
    public Task Listening => _listening.Task;

    /// <summary>Where it listens, the port that was taken included; null before the start.</summary>
    public IPEndPoint? EndPoint => _listener?.LocalEndPoint as IPEndPoint;

    private PeerTable Table => _table ?? throw new InvalidOperationException("the transport has not been started");

    public Task StartAsync(NodeHello self, ITransportHandler handler, CancellationToken token)
    {
        token.ThrowIfCancellationRequested();
        _handler = handler;
        _table = new PeerTable(_options, handler, _process, _log);
        _table.Introduce(self);
        _listener = Listen();
        PortLog.Listening(_log, _listener.LocalEndPoint?.ToString() ?? "", _options.Certificate is not null, _options.Tokens.Count > 0);
        _telling = _table.TellAsync();
        _running.Add(AcceptAsync(_listener));
        _running.Add(WatchAsync());
        _listening.TrySetResult();
        return Task.CompletedTask;
    }

    public void Introduce(NodeHello self) => Table.Introduce(self);

    public void Dial(IReadOnlyCollection<string> addresses)
    {
        var wanted = new Dictionary<string, PeerAddress>(StringComparer.Ordinal);
        foreach (var text in addresses)
        {
            if (!PeerAddress.TryParse(text, out var address, out var problem))
            {
                PortLog.BadAddress(_log, problem!);
            }
            else if (wanted.Count >= _options.AddressesMax)
            {
                PortLog.TooManyAddresses(_log, _options.AddressesMax, text);
            }
            else
            {
                wanted[address!.ToString()] = address;
            }
        }

        lock (_lock)
        {
            if (_isStopping)
            {
                return;
            }

            foreach (var (name, (_, stop)) in _dialled.Where(pair => !wanted.ContainsKey(pair.Key)).ToList())
            {
                stop.Cancel();
                stop.Dispose();
                _dialled.Remove(name);
            }

            foreach (var (name, address) in wanted.Where(pair => !_dialled.ContainsKey(pair.Key)))
            {
                var stop = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
                var dialer = new PeerDialer(address, _options, Table, DialAsync, _rarely, _time, _log);
                _dialled.Add(name, (dialer, stop));
                var token = stop.Token;
                _running.Add(Task.Run(() => dialer.RunAsync(token), token));
            }
        }
    }

    public bool TrySend(string nodeId, FrameType type, ReadOnlyMemory<byte> body)
    {
        Invariant.Check(type < FrameType.Hello, "what is sent without a question is a message of the guide");
        return _table?.LinkTo(nodeId, type) is { } link && link.TrySend(type, body.Span);
    }

    public Task<ReadOnlyMemory<byte>> AskAsync(string nodeId, FrameType type, ReadOnlyMemory<byte> body, CancellationToken token)
    {
        if (body.Length > FrameLimits.PayloadMax)
        {
            throw new ArgumentOutOfRangeException(nameof(body), body.Length, "longer than a frame may be");
        }

        Invariant.Check(FrameCodec.IsQuestion(type), "what is asked is a question");
        return _table?.LinkTo(nodeId, type) is { } link
            ? link.AskAsync(type, body, token)
            : Task.FromException<ReadOnlyMemory<byte>>(new PeerUnavailableException($"{nodeId} is not connected"));
    }

    /// <inheritdoc/>
    public TimeSpan? RoundTrip(string nodeId) => _table?.RoundTrip(nodeId);

    public async ValueTask DisposeAsync()
    {
        lock (_lock)
        {
            if (_isStopping)
            {
                return;
            }

            _isStopping = true;
        }

        await _stopping.CancelAsync();

        _listener?.Dispose();
        _table?.Close();
        await _running.EndedAsync();
        _table?.EndEvents();
        await _telling;
        lock (_lock)
        {
            foreach (var (_, stop) in _dialled.Values)
            {
                stop.Dispose();
            }
        }

        _stopping.Dispose();
    }

    private Socket Listen()
    {
        var listener = new Socket(_options.BindAddress.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (_options.BindAddress.Equals(IPAddress.IPv6Any))
            {
                listener.DualMode = true;
            }

            listener.Bind(new IPEndPoint(_options.BindAddress, _options.BindPort));
            listener.Listen(_options.ConnectionsMax);
            return listener;
        }
        catch (SocketException failure)
        {
            listener.Dispose();
            throw new IOException($"the cluster port {_options.BindAddress}:{_options.BindPort} can't be used: {failure.Message}", failure);
        }
    }

    private async Task AcceptAsync(Socket listener)
    {
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                var socket = await listener.AcceptAsync(_stopping.Token);
                _running.Add(Task.Run(() => ServeAsync(socket), CancellationToken.None));
            }
            catch (Exception failure) when (failure is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (Exception failure)
            {
                // Out of file descriptors, for example: some may come free.
                if (_rarely.IsDue("accept", ""))
                {
                    PortLog.AcceptFailed(_log, failure);
                }

                await Task.Delay(_options.RedialMin, _time, CancellationToken.None);
            }
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        var endPoint = FrameConnection.RemoteOf(socket);
        var remote = endPoint?.ToString() ?? "?";
        try
        {
            if (Interlocked.Increment(ref _unauthenticated) > _options.UnauthenticatedMax || Table.Links.Count >= _options.ConnectionsMax)
            {
                throw new HandshakeException(RefusalReason.TooMany, "too many connections wait for their handshake, or are open", isByPeer: false, null);
            }

            await OpenAsync(socket, isDialled: false, ConnectionPurpose.Frames, _stopping.Token);
        }
        catch (HandshakeException refusal)
        {
            socket.Dispose();
            Count(refusal);
            Say(refusal, remote, endPoint?.Address.ToString() ?? remote);
        }
        catch (Exception failure)
        {
            // A port check connects and closes; that is no news.
            socket.Dispose();
            PortLog.NoHandshake(_log, remote, failure.Message);
        }
        finally
        {
            Interlocked.Decrement(ref _unauthenticated);
        }
    }

    private async Task<PeerLink> DialAsync(IPEndPoint endPoint, ConnectionPurpose purpose, CancellationToken token)
    {
        var socket = new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        using var limit = new CancellationTokenSource(_options.ConnectTimeout, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, token);
        try
        {
            await socket.ConnectAsync(endPoint, both.Token);
            return await OpenAsync(socket, isDialled: true, purpose, token);
        }
        catch (HandshakeException refusal)
        {
            socket.Dispose();
            Count(refusal);
            throw;
        }
        catch (Exception failure)
        {
            socket.Dispose();
            throw failure is OperationCanceledException && !token.IsCancellationRequested ? new SocketException((int)SocketError.TimedOut) : failure;
        }
    }

    private async Task<PeerLink> OpenAsync(Socket socket, bool isDialled, ConnectionPurpose purpose, CancellationToken token)
    {
        var connection = new FrameConnection(socket);
        var (self, generation) = Table.Introduction(purpose);
        var open = isDialled
            ? await _handshake.DialAsync(connection, self, (peer, within) => Table.JudgeAsync(peer, isDialled: true, within), token)
            : await _handshake.AcceptAsync(connection, self, (peer, within) => Table.JudgeAsync(peer, isDialled: false, within), token);
        var link = new PeerLink(open, isDialled, _options, Counters, _handler!, _time, _log);
        if (!Table.TryEnter(link, generation, out var told))
        {
            throw new HandshakeException(RefusalReason.Stopping, "one of the two stops or introduces itself anew", isByPeer: false, open.Peer);
        }

        _rarely.Forget(link.Hello.NodeId);
        _running.Add(RunAsync(link, told));
        return link;
    }

    private async Task RunAsync(PeerLink link, Task told)
    {
        await told;
        link.Ping();
        await link.RunAsync();
        Table.Leave(link);
        link.Tell();
    }

    private static bool IsQuiet(RefusalReason reason) => reason is RefusalReason.Self or RefusalReason.Redundant or RefusalReason.Stopping;

    private void Count(HandshakeException refusal)
    {
        if (!IsQuiet(refusal.Reason))
        {
            Counters.Refuse(refusal.Reason);
        }
    }

    private void Say(HandshakeException refusal, string remote, string address)
    {
        var subject = refusal.Peer?.NodeId ?? address;
        if (IsQuiet(refusal.Reason) || !_rarely.IsDue($"refused {refusal.Reason} here", subject))
        {
            return;
        }

        var peer = refusal.Peer is { } known ? $"{known.NodeId} at {remote}" : remote;
        if (refusal.IsByPeer)
        {
            PortLog.RefusedByPeer(_log, peer, refusal.Message, refusal.Reason.ToString());
        }
        else
        {
            PortLog.Refused(_log, peer, refusal.Message, refusal.Reason.ToString());
        }
    }

    /// <summary>Asks every peer at intervals whether it is there, and closes connections on which nothing comes.</summary>
    private async Task WatchAsync()
    {
        using var timer = new PeriodicTimer(_options.PingInterval, _time);
        var last = _time.GetTimestamp();
        try
        {
            while (await timer.WaitForNextTickAsync(_stopping.Token))
            {
                var now = _time.GetTimestamp();
                var wasStopped = _time.GetElapsedTime(last, now) > _options.PingInterval + (_options.SilenceMax / 2);
                last = now;
                foreach (var link in Table.Links)
                {
                    if (wasStopped)
                    {
                        link.Excuse();
                    }
                    else if (_time.GetElapsedTime(link.Heard, now) > _options.SilenceMax)
                    {
                        link.Close($"nothing has come from it for {_options.SilenceMax.TotalSeconds:0.#} s");
                    }

                    link.Ping();
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The transport stops.
        }
    }
}
