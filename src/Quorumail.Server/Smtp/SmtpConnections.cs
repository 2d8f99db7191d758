using System.Net;
using System.Runtime.InteropServices;
using Quorumail.Server.Http;

namespace Quorumail.Server.Smtp;

/// <summary>
/// The open SMTP connections of all listeners: counts them, lets time pass for them once a second, and drains them when
/// the server stops.
/// </summary>
public sealed class SmtpConnections : IDisposable
{
    private static readonly TimeSpan TickInterval = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private readonly HashSet<SmtpConnection> _open = [];
    private readonly Dictionary<IPAddress, int> _perAddress = [];
    private readonly ReceivingOptions _options;
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _isDraining;

    public SmtpConnections(ReceivingOptions options, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(time);
        _options = options;
        _time = time;
        Metrics.ConnectionsMax.Set(options.ConnectionsMax);
        _timer = time.CreateTimer(static state => ((SmtpConnections)state!).Tick(), this, TickInterval, TickInterval);
    }

    /// <summary>Whether new sessions and transactions are refused with 421 4.3.2.</summary>
    public bool IsDraining => _isDraining;

    /// <summary>Connections open now.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _open.Count;
            }
        }
    }

    /// <summary>
    /// Stops taking mail: idle sessions are told 421 and closed, a transaction may end. Completes when all are closed;
    /// when the token ends the waiting, the rest is cut off.
    /// </summary>
    public async Task DrainAsync(CancellationToken token)
    {
        _isDraining = true;
        lock (_gate)
        {
            if (_open.Count == 0)
            {
                _drained.TrySetResult();
            }
        }

        foreach (var connection in Snapshot())
        {
            connection.Drain();
        }

        try
        {
            await _drained.Task.WaitAsync(token);
        }
        catch (OperationCanceledException)
        {
            AbortAll();
        }
    }

    /// <summary>Cuts off what is open.</summary>
    public void AbortAll()
    {
        foreach (var connection in Snapshot())
        {
            connection.Abort();
        }
    }

    public void Dispose() => _timer.Dispose();

    /// <summary>Registers a connection; false if there are too many in all.</summary>
    internal bool TryAdd(SmtpConnection connection)
    {
        lock (_gate)
        {
            if (_open.Count >= _options.ConnectionsMax)
            {
                return false;
            }

            _open.Add(connection);
        }

        Metrics.Connections.Inc();
        Metrics.ConnectionsActive.Inc();
        return true;
    }

    /// <summary>Counts a connection for its client's address; false if that has too many.</summary>
    internal bool TryCount(IPAddress client)
    {
        lock (_gate)
        {
            ref var count = ref CollectionsMarshal.GetValueRefOrAddDefault(_perAddress, client, out _);
            if (count >= _options.ConnectionsPerAddressMax && _options.ConnectionsPerAddressMax > 0)
            {
                return false;
            }

            count++;
            return true;
        }
    }

    /// <summary>Forgets a connection that <see cref="TryAdd"/> registered.</summary>
    /// <param name="connection">Which.</param>
    /// <param name="counted">The address that <see cref="TryCount"/> counted, or null.</param>
    internal void Remove(SmtpConnection connection, IPAddress? counted)
    {
        lock (_gate)
        {
            _open.Remove(connection);
            if (counted is not null && --CollectionsMarshal.GetValueRefOrAddDefault(_perAddress, counted, out _) <= 0)
            {
                _perAddress.Remove(counted);
            }

            if (_isDraining && _open.Count == 0)
            {
                _drained.TrySetResult();
            }
        }

        Metrics.ConnectionsActive.Dec();
    }

    private SmtpConnection[] Snapshot()
    {
        lock (_gate)
        {
            return [.. _open];
        }
    }

    private void Tick()
    {
        var now = _time.GetTimestamp();
        foreach (var connection in Snapshot())
        {
            connection.Tick(now);
        }
    }
}
