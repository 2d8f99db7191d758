namespace Quorumail.Server.Delivery.Transport;

/// <summary>Idle connections, by next hop, for the next message. A connection is closed after some seconds or some messages.</summary>
internal sealed class ConnectionPool : IAsyncDisposable
{
    /// <summary>Idle connections in all.</summary>
    public const int IdleMax = 500;

    /// <summary>How long a connection may lie idle.</summary>
    public static readonly TimeSpan IdleTime = TimeSpan.FromSeconds(8);

    /// <summary>The same for one of a limited number: others may wait for it.</summary>
    public static readonly TimeSpan LimitedIdleTime = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(1);
    private readonly Lock _lock = new();
    private readonly Dictionary<NextHop, Stack<SmtpConnection>> _idle = [];
    private readonly HashSet<Task> _closing = [];
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private int _count;
    private bool _isDisposed;

    public ConnectionPool(TimeProvider time)
    {
        _time = time;
        _timer = time.CreateTimer(static pool => ((ConnectionPool)pool!).Sweep(), this, SweepInterval, SweepInterval);
    }

    /// <summary>Connections that lie idle.</summary>
    public int IdleCount
    {
        get
        {
            lock (_lock)
            {
                return _count;
            }
        }
    }

    /// <summary>Next hops for which something is kept.</summary>
    internal int NextHopCount
    {
        get
        {
            lock (_lock)
            {
                return _idle.Count;
            }
        }
    }

    /// <summary>Takes an idle connection, the latest used first, or returns null.</summary>
    public SmtpConnection? TryTake(NextHop nextHop)
    {
        while (true)
        {
            SmtpConnection? connection;
            lock (_lock)
            {
                if (!_idle.TryGetValue(nextHop, out var stack) || !stack.TryPop(out connection))
                {
                    return null;
                }

                _count--;
                if (stack.Count == 0)
                {
                    _idle.Remove(nextHop);
                }
            }

            if (connection.IsReusable)
            {
                return connection;
            }

            BeginClose(connection);
        }
    }

    /// <summary>Gives a connection back after a transaction; one that can't be used again is closed.</summary>
    public void Return(NextHop nextHop, SmtpConnection connection)
    {
        if (connection.Session.IsReusable && !connection.IsSpent)
        {
            lock (_lock)
            {
                if (!_isDisposed && _count < IdleMax)
                {
                    if (!_idle.TryGetValue(nextHop, out var stack))
                    {
                        _idle[nextHop] = stack = new Stack<SmtpConnection>();
                    }

                    stack.Push(connection);
                    _count++;
                    return;
                }
            }
        }

        BeginClose(connection);
    }

    /// <summary>Closes all idle connections, politely; later returns close at once.</summary>
    public async ValueTask DisposeAsync()
    {
        List<SmtpConnection> all;
        lock (_lock)
        {
            _isDisposed = true;
            all = [.. _idle.Values.SelectMany(static stack => stack)];
            _idle.Clear();
            _count = 0;
        }

        await _timer.DisposeAsync();
        foreach (var connection in all)
        {
            BeginClose(connection);
        }

        Task[] closing;
        lock (_lock)
        {
            closing = [.. _closing];
        }

        await Task.WhenAll(closing);
    }

    private void BeginClose(SmtpConnection connection)
    {
        var closing = CloseAsync(connection);
        if (!closing.IsCompleted)
        {
            lock (_lock)
            {
                _closing.Add(closing);
            }

            _ = closing.ContinueWith(
                done =>
                {
                    lock (_lock)
                    {
                        _closing.Remove(done);
                    }
                },
                CancellationToken.None,
                TaskContinuationOptions.None,
                TaskScheduler.Default);
        }
    }

    private static async Task CloseAsync(SmtpConnection connection) => await connection.DisposeAsync();

    private void Sweep()
    {
        List<SmtpConnection>? old = null;
        lock (_lock)
        {
            foreach (var nextHop in _idle.Keys.ToArray())
            {
                var stack = _idle[nextHop];
                var kept = stack.Where(IsFresh).Reverse().ToArray();
                if (kept.Length == stack.Count)
                {
                    continue;
                }

                (old ??= []).AddRange(stack.Where(connection => !kept.Contains(connection)));
                _count -= stack.Count - kept.Length;
                if (kept.Length == 0)
                {
                    _idle.Remove(nextHop);
                }
                else
                {
                    _idle[nextHop] = new Stack<SmtpConnection>(kept);
                }
            }
        }

        old?.ForEach(BeginClose);
    }

    private bool IsFresh(SmtpConnection connection) =>
        !connection.IsSpent && _time.GetElapsedTime(connection.LastUsed) < (connection.Slot is null ? IdleTime : LimitedIdleTime);
}
