using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Quorumail.Server.Torture.Ledger;

namespace Quorumail.Server.Torture.Sink;

/// <summary>
/// A next hop inside the process: takes mail, keeps an entry of each copy, and makes trouble as its script says.
/// </summary>
internal sealed class SmtpSink : IAsyncDisposable
{
    private readonly ConcurrentQueue<(Socket Listener, Task Accepting)> _listeners = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<SinkConnection, Task> _connections = new();
    private readonly ConcurrentQueue<DeliveredCopy> _copies = new();
    private readonly ConcurrentQueue<SinkMessage> _messages = new();
    private readonly ConcurrentDictionary<string, bool> _unanswered = new(StringComparer.Ordinal);
    private int _open;
    private int _mostOpen;
    private int _accepted;
    private int _others;

    /// <summary>Listens on 127.0.0.1; accepts everything until told otherwise.</summary>
    /// <param name="port">0: any free one.</param>
    public SmtpSink(int port = 0)
        : this(new IPEndPoint(IPAddress.Loopback, port))
    {
    }

    /// <summary>Listens anywhere.</summary>
    public SmtpSink(IPEndPoint at)
    {
        var listener = new Socket(at.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        Listen(listener, at);
        Port = ((IPEndPoint)listener.LocalEndPoint!).Port;
    }

    /// <summary>Where it listens.</summary>
    public int Port { get; }

    /// <summary>Decides at each stage; may be changed at any time.</summary>
    public Func<SinkStage, string, SinkAction> Script { get; set; } = static (_, _) => SinkAction.Accept;

    /// <summary>Whether a copy counts, by its reverse-path and its entry: mail that is none of the run's may come by, too.</summary>
    public Func<string, DeliveredCopy, bool> Counts { get; init; } = static (_, _) => true;

    /// <summary>Whether whole messages are kept besides their entries.</summary>
    public bool KeepsMessages { get; init; }

    /// <summary>Keywords of its EHLO reply.</summary>
    public IReadOnlyList<string> Extensions { get; init; } =
        ["PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "SIZE 104857600"];

    /// <summary>Entries of all copies that were taken.</summary>
    public IReadOnlyCollection<DeliveredCopy> Copies => _copies;

    /// <summary>Queue ids of messages that were there as a whole and were not answered, as its script said.</summary>
    public IReadOnlySet<string> Unanswered => _unanswered.Keys.ToHashSet(StringComparer.Ordinal);

    /// <summary>Copies that do not count.</summary>
    public int Others => Volatile.Read(ref _others);

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
        var seen = 0;
        var due = sent.Where(each => each.Outcome == SendOutcome.Acknowledged)
            .SelectMany(each => each.Recipients.Select(to => (each.Id, to))).ToHashSet();
        try
        {
            await Deadline.UntilAsync(
                () =>
                {
                    foreach (var copy in _copies.Skip(seen))
                    {
                        due.Remove((copy.Id, copy.Recipient));
                        seen++;
                    }

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
    public void Listen(Socket listener, int port) => Listen(listener, new IPEndPoint(IPAddress.Loopback, port));

    /// <summary>Forgets the copies that came, when their account is settled.</summary>
    public void Forget()
    {
        _copies.Clear();
        _messages.Clear();
        _unanswered.Clear();
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

    internal void LeaveUnanswered(ReadOnlySpan<byte> content) => _unanswered[ReceivedCopies.QueueIdOf(content)] = true;

    internal void Take(byte[] content, string sender, IReadOnlyList<string> recipients)
    {
        foreach (var recipient in recipients)
        {
            var copy = ReceivedCopies.Read(content, recipient);
            if (Counts(sender, copy))
            {
                _copies.Enqueue(copy);
            }
            else
            {
                Interlocked.Increment(ref _others);
            }
        }

        if (KeepsMessages)
        {
            _messages.Enqueue(new SinkMessage(sender, recipients, content));
        }
    }

    private void Listen(Socket listener, IPEndPoint at)
    {
        try
        {
            listener.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
            listener.Bind(at);
            listener.Listen(1024);
        }
        catch
        {
            listener.Dispose();
            throw;
        }

        _listeners.Enqueue((listener, AcceptAsync(listener)));
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
