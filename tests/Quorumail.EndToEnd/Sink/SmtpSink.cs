using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Quorumail.EndToEnd.Ledger;

namespace Quorumail.EndToEnd.Sink;

/// <summary>
/// A next hop inside the test: takes mail on a port of 127.0.0.1, keeps an entry of each copy, and makes trouble as its script says.
/// </summary>
internal sealed class SmtpSink : IAsyncDisposable
{
    private readonly ConcurrentQueue<(Socket Listener, Task Accepting)> _listeners = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<SinkConnection, Task> _connections = new();
    private readonly ConcurrentQueue<DeliveredCopy> _copies = new();
    private readonly ConcurrentQueue<SinkMessage> _messages = new();
    private int _open;
    private int _mostOpen;
    private int _accepted;

    /// <summary>Listens; accepts everything until told otherwise.</summary>
    public SmtpSink(int port = 0)
    {
        Port = port == 0 ? Processes.FreePort.Take() : port;
        Listen(new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp), Port);
    }

    /// <summary>Where it listens.</summary>
    public int Port { get; }

    /// <summary>Decides at each stage; may be changed at any time.</summary>
    public Func<SinkStage, string, SinkAction> Script { get; set; } = static (_, _) => SinkAction.Accept;

    /// <summary>Whether whole messages are kept besides their entries.</summary>
    public bool KeepsMessages { get; init; }

    /// <summary>Keywords of its EHLO reply.</summary>
    public IReadOnlyList<string> Extensions { get; init; } =
        ["PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "SIZE 104857600"];

    /// <summary>Entries of all copies that were taken.</summary>
    public IReadOnlyCollection<DeliveredCopy> Copies => _copies;

    /// <summary>The messages, if <see cref="KeepsMessages"/>.</summary>
    public IReadOnlyCollection<SinkMessage> Messages => _messages;

    /// <summary>Connections that came so far.</summary>
    public int AcceptedConnections => Volatile.Read(ref _accepted);

    /// <summary>The most connections that were open at once.</summary>
    public int MostOpenConnections => Volatile.Read(ref _mostOpen);

    /// <summary>Waits until at least <paramref name="count"/> copies have come.</summary>
    public Task UntilCopiesAsync(int count, TimeSpan limit, CancellationToken token) => Deadline.UntilAsync(
        () => _copies.Count >= count, limit, () => $"{_copies.Count} of {count} copies came to the sink", token);

    /// <summary>Waits until every acknowledged recipient has a copy, or the limit is over: the ledger then tells what is missing.</summary>
    public async Task UntilDeliveredAsync(IEnumerable<SentMessage> sent, TimeSpan limit, CancellationToken token)
    {
        var due = sent.Where(each => each.Outcome == SendOutcome.Acknowledged)
            .SelectMany(each => each.Recipients.Select(to => (each.Id, to))).ToHashSet();
        try
        {
            await Deadline.UntilAsync(
                () =>
                {
                    due.ExceptWith(_copies.Select(each => (each.Id, each.Recipient)));
                    return due.Count == 0;
                },
                limit,
                () => $"{due.Count} copies are missing",
                token);
        }
        catch (TimeoutException)
        {
            // The caller settles the ledger, which says more than a time-out.
        }
    }

    /// <summary>Listens on a port of 127.0.0.1 of another network, too.</summary>
    /// <param name="listener">A socket of that network; the sink's from now on.</param>
    /// <param name="port">A port that is free there.</param>
    public void Listen(Socket listener, int port)
    {
        listener.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, port));
        listener.Listen(1024);
        _listeners.Enqueue((listener, AcceptAsync(listener)));
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        foreach (var (listener, accepting) in _listeners)
        {
            listener.Dispose();
            await accepting;
        }

        await Task.WhenAll(_connections.Values);
        _stop.Dispose();
    }

    internal void Take(byte[] content, string sender, IReadOnlyList<string> recipients)
    {
        foreach (var recipient in recipients)
        {
            _copies.Enqueue(ReceivedCopies.Read(content, recipient));
        }

        if (KeepsMessages)
        {
            _messages.Enqueue(new SinkMessage(sender, recipients, content));
        }
    }

    private async Task AcceptAsync(Socket listener)
    {
        try
        {
            while (true)
            {
                var connection = new SinkConnection(this, await listener.AcceptAsync(_stop.Token));
                Interlocked.Increment(ref _accepted);
                var open = Interlocked.Increment(ref _open);
                for (var most = _mostOpen; open > most;)
                {
                    most = Interlocked.CompareExchange(ref _mostOpen, open, most);
                }

                _connections[connection] = ServeAsync(connection);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // Disposed.
        }
    }

    private async Task ServeAsync(SinkConnection connection)
    {
        await Task.Yield();
        try
        {
            await connection.RunAsync(_stop.Token);
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or IOException or ObjectDisposedException)
        {
            // The peer was killed, or the test is over.
        }
        finally
        {
            connection.Dispose();
            Interlocked.Decrement(ref _open);
            _connections.TryRemove(connection, out _);
        }
    }
}
