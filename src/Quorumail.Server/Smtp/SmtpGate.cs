using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Quorumail.Server.Smtp;

/// <summary>
/// Listeners that can be closed and opened again while their connections go on: load balancers that only try to connect take a
/// node for dead that way, and those before it are told 421.
/// </summary>
internal sealed class SmtpGate(IOptions<SocketTransportOptions> options, ILoggerFactory loggers) : IConnectionListenerFactory
{
    private readonly SocketTransportFactory _sockets = new(options, loggers);
    private readonly Lock _lock = new();
    private readonly List<Listener> _listeners = [];
    private bool _isClosed;

    /// <summary>Whether nobody can connect.</summary>
    public bool IsClosed
    {
        get
        {
            lock (_lock)
            {
                return _isClosed;
            }
        }
    }

    public async ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        var listener = new Listener(_sockets, await _sockets.BindAsync(endpoint, cancellationToken));
        lock (_lock)
        {
            _listeners.Add(listener);
        }

        return listener;
    }

    /// <summary>Closes the listeners, not their connections.</summary>
    public async Task CloseAsync(CancellationToken token)
    {
        foreach (var listener in Listeners(isClosed: true))
        {
            await listener.CloseAsync(token);
        }
    }

    /// <summary>Opens them again.</summary>
    /// <exception cref="IOException">Somebody else has taken a port meanwhile; the others are open, and this can be tried again.</exception>
    public async Task OpenAsync(CancellationToken token)
    {
        foreach (var listener in Listeners(isClosed: true))
        {
            await listener.OpenAsync(token);
        }

        Listeners(isClosed: false);
    }

    private Listener[] Listeners(bool isClosed)
    {
        lock (_lock)
        {
            _isClosed = isClosed;
            return [.. _listeners];
        }
    }

    private sealed class Listener(SocketTransportFactory sockets, IConnectionListener first) : IConnectionListener
    {
        private readonly Lock _lock = new();
        private readonly List<IConnectionListener> _former = [];
        private IConnectionListener? _current = first;
        private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private bool _isEnded;

        public EndPoint EndPoint { get; } = first.EndPoint;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            while (true)
            {
                IConnectionListener? current;
                Task changed;
                lock (_lock)
                {
                    if (_isEnded)
                    {
                        return null;
                    }

                    (current, changed) = (_current, _changed.Task);
                }

                if (current is null)
                {
                    await changed.WaitAsync(cancellationToken);
                }
                else if (await current.AcceptAsync(cancellationToken) is { } connection)
                {
                    return connection;
                }
                else if (IsCurrent(current))
                {
                    // It ended by itself, as it does when the server stops.
                    return null;
                }
            }
        }

        public async ValueTask UnbindAsync(CancellationToken cancellationToken = default)
        {
            if (Take(isEnded: true) is { } current)
            {
                await current.UnbindAsync(cancellationToken);
            }
        }

        public async ValueTask CloseAsync(CancellationToken token)
        {
            if (Take(isEnded: false) is { } current)
            {
                await current.UnbindAsync(token);
            }
        }

        public async ValueTask OpenAsync(CancellationToken token)
        {
            lock (_lock)
            {
                if (_isEnded || _current is not null)
                {
                    return;
                }
            }

            var opened = await sockets.BindAsync(EndPoint, token);
            var isEnded = false;
            lock (_lock)
            {
                isEnded = _isEnded;
                _current = isEnded ? null : opened;
                Changed();
            }

            if (isEnded)
            {
                await opened.DisposeAsync();
            }
        }

        // A listener's connections use its memory: it is disposed of after them.
        public async ValueTask DisposeAsync()
        {
            Take(isEnded: true);
            foreach (var listener in _former)
            {
                await listener.DisposeAsync();
            }
        }

        private IConnectionListener? Take(bool isEnded)
        {
            lock (_lock)
            {
                var current = _current;
                _isEnded |= isEnded;
                _current = null;
                if (current is not null)
                {
                    _former.Add(current);
                }

                Changed();
                return current;
            }
        }

        private bool IsCurrent(IConnectionListener listener)
        {
            lock (_lock)
            {
                return ReferenceEquals(_current, listener);
            }
        }

        private void Changed()
        {
            var changed = _changed;
            _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            changed.TrySetResult();
        }
    }
}
