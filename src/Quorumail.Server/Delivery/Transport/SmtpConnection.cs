using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Quorumail.Core.Delivery.Client;
using Quorumail.Server.Delivery.Dns;
using Quorumail.Server.Limits;

namespace Quorumail.Server.Delivery.Transport;

/// <summary>
/// A connection to a next hop: moves bytes between a stream and a <see cref="SmtpClientSession"/>, keeps its time-outs, and makes
/// the TLS handshake. For one caller at a time. What goes wrong is in the session's results, not thrown.
/// </summary>
internal sealed class SmtpConnection : IAsyncDisposable
{
    /// <summary>Messages of one connection; some servers count them, and none should be held for ever.</summary>
    public const int TransactionsMax = 100;

    /// <summary>How much of a message is gathered before it is written.</summary>
    private const int BlockSize = 64 * 1024;

    /// <summary>Piece of a message that goes through dot-stuffing at once, so that the output grows little beyond a block.</summary>
    private const int PieceSize = 32 * 1024;

    private const int ReadSize = 4 * 1024;
    private static readonly TimeSpan LastWordsTimeout = TimeSpan.FromSeconds(1);

    private readonly SmtpClientLimits _limits;
    private readonly CancellationTokenSource _deadline;
    private readonly CancellationTokenRegistration _abort;
    private readonly Socket? _socket;
    private readonly byte[] _read = new byte[ReadSize];
    private Stream _stream;
    private CancellationTokenRegistration _lost;
    private bool _isEndSeen;

    public SmtpConnection(
        Stream stream,
        Socket? socket,
        DeliveryTarget target,
        SmtpClientSession session,
        SmtpClientLimits limits,
        TimeProvider time,
        CancellationToken abort)
    {
        _stream = stream;
        _socket = socket;
        Target = target;
        Name = target.ToString();
        Session = session;
        _limits = limits;
        Time = time;
        _deadline = new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
        _abort = abort.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), _deadline);
    }

    /// <summary>Where it leads.</summary>
    public DeliveryTarget Target { get; }

    /// <summary>Where it leads, as in logs and results.</summary>
    public string Name { get; }

    public SmtpClientSession Session { get; }

    /// <summary>Messages sent so far.</summary>
    public int Transactions { get; private set; }

    /// <summary>Held as long as it is open; null if connections are not limited.</summary>
    public ConnectionSlot? Slot { get; private set; }

    /// <summary>Whether it should be closed rather than used again.</summary>
    public bool IsSpent => Transactions >= TransactionsMax || Slot is { IsOver: true };

    /// <summary>When it was last used, by <see cref="TimeProvider.GetTimestamp"/>.</summary>
    public long LastUsed { get; private set; }

    private TimeProvider Time { get; }

    /// <summary>Whether another transaction can be tried on it: the session is idle, and the peer has said nothing and not hung up.</summary>
    public bool IsReusable
    {
        get
        {
            try
            {
                return Session.IsReusable && !(_socket?.Poll(0, SelectMode.SelectRead) ?? false);
            }
            catch (Exception error) when (error is SocketException or ObjectDisposedException)
            {
                return false;
            }
        }
    }

    /// <summary>Greets, secures and authenticates: until the session is ready, or closed.</summary>
    public async Task OpenAsync(SslClientAuthenticationOptions tls)
    {
        await ExchangeAsync();
        if (Session.Step == ClientStep.StartTls && await SecureAsync(tls))
        {
            Session.TlsEstablished();
            await ExchangeAsync();
        }

        LastUsed = Time.GetTimestamp();
    }

    /// <summary>Makes TLS of what is a plain connection; a failure closes the session.</summary>
    public async Task<bool> SecureAsync(SslClientAuthenticationOptions tls)
    {
        var secure = new SslStream(_stream, leaveInnerStreamOpen: false);
        _stream = secure;
        try
        {
            _deadline.CancelAfter(_limits.HandshakeTimeout);
            await secure.AuthenticateAsClientAsync(tls, _deadline.Token);
            return true;
        }
        catch (Exception error) when (error is AuthenticationException or IOException or OperationCanceledException or ObjectDisposedException
            or InvalidOperationException or ArgumentException)
        {
            // An ArgumentException is for a name that the DNS gave and that TLS can't carry.
            var reason = error is OperationCanceledException ? "timed out" : error.Message;
            Session.ConnectionLost("4.7.5", OneLine($"TLS handshake failed: {reason}"));
            return false;
        }
    }

    /// <summary>
    /// Makes one transaction. Its results are in the session. The final dot goes out only if <paramref name="permission"/>
    /// gives true; it is asked right before.
    /// </summary>
    public async ValueTask SendAsync(ClientTransaction transaction, MessageContent content, Func<Task<bool>> permission)
    {
        Transactions++;
        Session.Begin(transaction);
        await ExchangeAsync();
        if (Session.Step == ClientStep.SendBody)
        {
            try
            {
                if (await SendBodyAsync(content) && await IsPermittedAsync(permission) && Session.EndBody())
                {
                    await ExchangeAsync();
                }
            }
            catch (Storage.StorageException error)
            {
                Session.Abort(OneLine(error.Message));
            }
            catch (OperationCanceledException error)
            {
                Session.ConnectionLost("4.4.2", Describe(error));
            }
        }

        LastUsed = Time.GetTimestamp();
    }

    /// <summary>It has a slot: when that is lost it is closed.</summary>
    public void Hold(ConnectionSlot slot)
    {
        Slot = slot;
        _lost = slot.Lost.UnsafeRegister(static connection => ((SmtpConnection)connection!).Cut(), this);
    }

    /// <summary>Closes without a word; the slot, if it has one, stays with the caller.</summary>
    public ValueTask DropAsync()
    {
        Slot = null;
        return DisposeAsync();
    }

    /// <summary>Says QUIT if it can, and closes. Nothing depends on the answer, so it is waited for only briefly.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Session.IsReusable && !_deadline.IsCancellationRequested)
        {
            Session.Quit();
            await ExchangeAsync();
            _isEndSeen |= Slot is not null && await HearEndAsync();
        }

        await _abort.DisposeAsync();
        await _lost.DisposeAsync();
        await _stream.DisposeAsync();
        _socket?.Dispose();
        _deadline.Dispose();
        Slot?.Close(_isEndSeen);
    }

    // Whatever waits for it fails at once.
    private void Cut()
    {
        _deadline.Cancel();
        _socket?.Close(0);
    }

    /// <summary>Whether the peer closes the connection after the farewell: then it does not count it any more.</summary>
    private async ValueTask<bool> HearEndAsync()
    {
        try
        {
            _deadline.CancelAfter(LastWordsTimeout);
            return await _stream.ReadAsync(_read, _deadline.Token) == 0;
        }
        catch (Exception error) when (IsOfConnection(error))
        {
            return false;
        }
    }

    private async ValueTask<bool> IsPermittedAsync(Func<Task<bool>> permission)
    {
        if (await permission())
        {
            return true;
        }

        Session.Abort("the attempt was not recorded, so the message was not completed");
        return false;
    }

    /// <summary>Writes the message but for its last block, which goes out with the final dot.</summary>
    private async ValueTask<bool> SendBodyAsync(MessageContent content)
    {
        while (true)
        {
            var chunk = await content.ReadAsync(_deadline.Token);
            if (chunk.IsEmpty)
            {
                return true;
            }

            while (!chunk.IsEmpty)
            {
                var piece = chunk[..Math.Min(PieceSize, chunk.Length)];
                chunk = chunk[piece.Length..];
                if (!Session.WriteBody(piece.Span))
                {
                    return false;
                }

                if (Session.Output.WrittenCount >= BlockSize && !await WriteAsync())
                {
                    return false;
                }
            }
        }
    }

    /// <summary>Sends what is to be sent and reads replies, as long as the session waits for some.</summary>
    private async ValueTask ExchangeAsync()
    {
        if (Session.Step == ClientStep.Close || !await WriteAsync())
        {
            return;
        }

        var replies = -1;
        while (Session.Step == ClientStep.Receive)
        {
            if (Session.Replies != replies)
            {
                // A time-out runs for a reply (RFC 5321 4.5.3.2), not for a byte: a peer that drips doesn't hold us for ever.
                replies = Session.Replies;
                _deadline.CancelAfter(_limits.TimeoutOf(Session.Stage));
            }

            if (!await ReadAsync() || !await WriteAsync())
            {
                return;
            }
        }
    }

    private async ValueTask<bool> ReadAsync()
    {
        try
        {
            var count = await _stream.ReadAsync(_read, _deadline.Token);
            if (count > 0)
            {
                Session.Receive(_read.AsSpan(0, count));
                return true;
            }

            _isEndSeen = true;
            Session.ConnectionLost("4.4.2", $"the next hop closed the connection ({Session.Stage})");
        }
        catch (Exception error) when (IsOfConnection(error))
        {
            Session.ConnectionLost("4.4.2", Describe(error));
        }

        return false;
    }

    private async ValueTask<bool> WriteAsync()
    {
        if (Session.Output.WrittenCount == 0)
        {
            return true;
        }

        try
        {
            _deadline.CancelAfter(_limits.TimeoutOf(Session.Stage));
            await _stream.WriteAsync(Session.Output.WrittenMemory, _deadline.Token);
            Session.Output.ResetWrittenCount();
            return true;
        }
        catch (Exception error) when (IsOfConnection(error))
        {
            Session.Output.ResetWrittenCount();
            await HearLastWordsAsync(error);
            return false;
        }
    }

    /// <summary>A peer that hangs up while we write may have said why.</summary>
    private async ValueTask HearLastWordsAsync(Exception error)
    {
        if (!_deadline.IsCancellationRequested && Session.Step is ClientStep.Receive or ClientStep.SendBody)
        {
            try
            {
                _deadline.CancelAfter(LastWordsTimeout);
                var count = await _stream.ReadAsync(_read, _deadline.Token);
                Session.Receive(_read.AsSpan(0, count));
            }
            catch (Exception silent) when (IsOfConnection(silent))
            {
                // It said nothing.
            }
        }

        Session.ConnectionLost("4.4.2", Describe(error));
    }

    private string Describe(Exception error) => OneLine(error is OperationCanceledException
        ? $"timed out or stopped ({Session.Stage})"
        : $"connection lost ({Session.Stage}): {error.Message}");

    private static string OneLine(string text) =>
        ReplyParser.Escape(System.Text.Encoding.UTF8.GetBytes(text), SmtpReply.TextMax);

    private static bool IsOfConnection(Exception error) =>
        error is IOException or SocketException or OperationCanceledException or ObjectDisposedException or AuthenticationException;
}
