using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Quorumail.Core.Cluster;

namespace Quorumail.Cluster.Transport;

/// <summary>Opens a connection to where a name was found to point.</summary>
internal delegate Task<PeerLink> OpenLink(IPEndPoint endPoint, ConnectionPurpose purpose, CancellationToken token);

/// <summary>
/// Keeps one address dialled: a connection for what is large, then one for frames (whose opening makes the peer count as
/// connected). The name is resolved at every dial, because addresses move. Pauses grow, with jitter, and stay short
/// while the peer was lately there.
/// </summary>
internal sealed class PeerDialer(PeerAddress address, PortOptions options, PeerTable table, OpenLink open, RareLog rarely, TimeProvider time, ILogger log)
{
    // A connection that lives shorter than this was no success.
    private static readonly TimeSpan LifeMin = TimeSpan.FromSeconds(1);

    private volatile TaskCompletionSource _wake = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly string _name = address.ToString();
    private PeerLink? _bulk;
    private PeerLink? _frames;
    private string? _nodeId;
    private long? _lastThere;
    private int _failures;
    private volatile bool _isRedundant;
    private int _generation;

    /// <summary>What has come of it so far.</summary>
    public DialledAddress Answer { get; private set; } = new(address.ToString(), null, "not reached yet");

    /// <summary>Dials until told to stop. Connections that are open then stay open.</summary>
    public async Task RunAsync(CancellationToken token)
    {
        table.Changed += Wake;
        try
        {
            while (!token.IsCancellationRequested)
            {
                _wake = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                Volatile.Write(ref _generation, table.Generation);
                await PauseAsync(await DialAsync(token), token);
            }
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            // Told to stop.
        }
        finally
        {
            table.Changed -= Wake;
        }
    }

    /// <summary>Looks again at once if it waits because the peer is connected otherwise, or since this node says something new of itself.</summary>
    private void Wake(object? sender, EventArgs changed)
    {
        if (_isRedundant || Volatile.Read(ref _generation) != table.Generation)
        {
            _wake.TrySetResult();
        }
    }

    private async Task PauseAsync(TimeSpan pause, CancellationToken token)
    {
        try
        {
            await _wake.Task.WaitAsync(pause, time, token);
        }
        catch (TimeoutException)
        {
            // As long as it was to be.
        }
    }

    /// <summary>Opens what is not open and waits for its end. Returns the pause until the next dial.</summary>
    private async Task<TimeSpan> DialAsync(CancellationToken token)
    {
        _isRedundant = false;
        try
        {
            _bulk = await OpenedAsync(_bulk, ConnectionPurpose.Bulk, token);
            _frames = await OpenedAsync(_frames, ConnectionPurpose.Frames, token);
            rarely.Forget(_name);
            _nodeId = _frames.Hello.NodeId;
            Answer = new DialledAddress(_name, _nodeId, "");
            var ended = await Task.WhenAny(_bulk.Ended, _frames.Ended).WaitAsync(token);
            var first = ended == _bulk.Ended ? _bulk : _frames;
            _lastThere = time.GetTimestamp();
            if (time.GetElapsedTime(first.Opened) < LifeMin)
            {
                return Failed();
            }

            _failures = 0;
            return TimeSpan.Zero;
        }
        catch (HandshakeException refusal)
        {
            return Refused(refusal);
        }
        catch (Exception failure) when (!token.IsCancellationRequested)
        {
            return Unreachable(failure);
        }
    }

    private async Task<PeerLink> OpenedAsync(PeerLink? link, ConnectionPurpose purpose, CancellationToken token)
    {
        if (link is { Ended.IsCompleted: false })
        {
            return link;
        }

        var addresses = await ResolveAsync(token);
        for (var i = 0; ; i++)
        {
            try
            {
                return await open(new IPEndPoint(addresses[i], address.Port), purpose, token);
            }
            catch (SocketException) when (i + 1 < addresses.Length)
            {
                // The next one may do.
            }
        }
    }

    private async Task<IPAddress[]> ResolveAsync(CancellationToken token)
    {
        if (IPAddress.TryParse(address.Host, out var literal))
        {
            return [literal];
        }

        using var limit = new CancellationTokenSource(options.ConnectTimeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, token);
        try
        {
            var found = await options.Resolve(address.Host, both.Token);
            return found.Length > 0 ? found : throw new IOException($"{address.Host} has no address");
        }
        catch (SocketException failure)
        {
            throw new IOException($"the name {address.Host} can't be resolved: {failure.Message}", failure);
        }
        catch (OperationCanceledException late) when (!token.IsCancellationRequested)
        {
            throw new IOException($"the name {address.Host} can't be resolved: no answer", late);
        }
    }

    private TimeSpan Refused(HandshakeException refusal)
    {
        Answer = refusal.Reason switch
        {
            RefusalReason.Self => new DialledAddress(_name, table.NodeId, ""),
            RefusalReason.Redundant when (refusal.Peer?.NodeId ?? _nodeId) is { } there => new DialledAddress(_name, there, ""),
            _ => new DialledAddress(_name, null, refusal.Message),
        };
        switch (refusal.Reason)
        {
            case RefusalReason.Self when refusal.Peer is { } peer && table.IsSelf(peer):
                if (rarely.IsDue("self", _name))
                {
                    PortLog.OwnAddress(log, _name);
                }

                return options.OwnAddressPause;
            case RefusalReason.Redundant when !refusal.IsByPeer:
                _isRedundant = true;
                return options.RedialMax * 3;
            case RefusalReason.Stopping:
                return Failed();
            case RefusalReason.TimedOut:
                return Unreachable(refusal);
            default:
                var who = refusal.Peer is { } known ? $"{known.NodeId} at {_name}" : _name;
                if (rarely.IsDue($"refused {refusal.Reason}", _name))
                {
                    if (refusal.IsByPeer)
                    {
                        PortLog.RefusedByPeer(log, who, refusal.Message, refusal.Reason.ToString());
                    }
                    else
                    {
                        PortLog.Refused(log, who, refusal.Message, refusal.Reason.ToString());
                    }
                }

                return Jitter(options.RedialMax);
        }
    }

    private TimeSpan Unreachable(Exception failure)
    {
        Answer = new DialledAddress(_name, null, failure.Message);
        if (failure is SocketException { SocketErrorCode: SocketError.ConnectionRefused } && _nodeId is not null)
        {
            table.ReportGone(_nodeId);
        }

        if (rarely.IsDue("unreachable", _name))
        {
            PortLog.Unreachable(log, _name, failure.Message.TrimEnd('.'));
        }

        return Failed();
    }

    private TimeSpan Failed()
    {
        var isLately = _lastThere is { } then && time.GetElapsedTime(then) < options.LatelyThere;
        var longest = isLately ? options.RedialMaxLately : options.RedialMax;
        var pause = options.RedialMin * Math.Pow(2, Math.Min(_failures++, 20));
        return Jitter(pause < longest ? pause : longest);
    }

    // ± 20 %: nodes that lost one another together don't dial together for ever.
    private static TimeSpan Jitter(TimeSpan pause) => pause * (0.8 + (0.4 * Random.Shared.NextDouble()));
}
