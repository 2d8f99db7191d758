using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Security.Authentication;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;
using Quorumail.Core.Mail;
using Quorumail.Core.Smtp;
using Quorumail.Server.Http;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Smtp;

/// <summary>
/// One SMTP connection: moves octets between the pipes and the session, does what the session's steps ask for, and lets
/// time pass. All of it runs on one loop; only <see cref="Tick"/>, <see cref="Drain"/> and <see cref="Abort"/> come from
/// elsewhere.
/// </summary>
internal sealed partial class SmtpConnection : IAsyncDisposable
{
    /// <summary>Time for a client to read why, and that, the connection ends.</summary>
    private static readonly TimeSpan FarewellLinger = TimeSpan.FromSeconds(1);

    private readonly ConnectionContext _connection;
    private readonly SmtpServices _services;
    private readonly SmtpListener _listener;
    private readonly ConnectionClock _clock;
    private readonly SmtpWire _wire;
    private SmtpSession? _session;
    private IPAddress _client = IPAddress.None;
    private string _clientText = string.Empty;
    private BodyWriter? _body;
    private byte[]? _overflow;
    private int _overflowLength;
    private SmtpReply? _refusal;
    private RecipientResolution _resolution;
    private QueueId _committed;
    private bool _hasProgress = true;
    private CancellationTokenSource? _commitTimer;
    private List<QueueId>? _unread;
    private bool _isKnown = true;
    private bool _isTrusted;
    private bool _isExempt;

    // Written by ticks, read by the loop.
    private volatile SmtpReply? _farewell;

    public SmtpConnection(ConnectionContext connection, SmtpServices services, SmtpListener listener)
    {
        _connection = connection;
        _services = services;
        _listener = listener;
        _clock = new ConnectionClock(services.Options, services.Time);
        _wire = new SmtpWire(connection, _clock);
    }

    private SmtpSession Session => _session!;

    /// <summary>Serves the connection to its end.</summary>
    public async Task RunAsync()
    {
        if (!_services.Connections.TryAdd(this))
        {
            Metrics.RateLimitHits.Inc();
            await RefuseAsync(SmtpReplies.TooManyConnections);
            return;
        }

        IPAddress? counted = null;
        try
        {
            _clock.Start(ConnectionWait.Handshake);
            if (!await TryIdentifyAsync())
            {
                return;
            }

            _isTrusted = _isKnown && _services.Options.Trusted.Contains(_client);
            _isExempt = _isTrusted || (_isKnown && IPAddress.IsLoopback(_client));
            if (!_isExempt && !_services.Connections.TryCount(counted = _client))
            {
                counted = null;
                Metrics.RateLimitHits.Inc();
                await RefuseAsync(SmtpReplies.TooManyConnections);
                return;
            }

            if (_services.Connections.IsDraining || _services.Intake.IsRefusing)
            {
                await RefuseAsync(SmtpReplies.ShuttingDown);
                return;
            }

            if (_listener.HasImplicitTls)
            {
                await _wire.EstablishTlsAsync(_services.Certificate!.Options);
            }

            _session = new SmtpSession(
                _listener.Service, _client, _listener.OffersStartTls && _services.Certificate is not null, hasTls: _wire.HasTls);
            await ConverseAsync();
            await _wire.EndAsync(FarewellLinger, _services.Time);
        }
        catch (AuthenticationException failure)
        {
            LogHandshakeFailed(_services.Logger, _client, failure.Message);
        }
        finally
        {
            await EndAsync(counted);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _wire.DisposeAsync();
        _commitTimer?.Dispose();
    }

    /// <summary>Lets time pass; from the connections' clock, once a second.</summary>
    public void Tick(long now)
    {
        if (_services.Connections.IsDraining || _services.Intake.DrainingFor is not null)
        {
            Drain();
        }

        var wait = _clock.Wait;
        if (!_clock.HasExpired(now, out var farewell))
        {
            return;
        }

        if (farewell is not null)
        {
            Interrupt(farewell);
        }
        else if (wait == ConnectionWait.Commit)
        {
            CancelCommit();
        }
        else
        {
            Abort();
        }
    }

    /// <summary>The server stops or drains: an idle session is told so.</summary>
    public void Drain()
    {
        if (_clock.Wait == ConnectionWait.Command && !_clock.HasTransaction)
        {
            Interrupt(SmtpReplies.ShuttingDown);
        }
    }

    /// <summary>Cuts the connection off.</summary>
    public void Abort() => _connection.Abort();

    private void CancelCommit()
    {
        try
        {
            _commitTimer?.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The connection has just ended.
        }
    }

    /// <summary>Ends the waiting for input with a last reply.</summary>
    private void Interrupt(SmtpReply farewell)
    {
        _farewell = farewell;
        _wire.Interrupt();
    }

    /// <summary>Says the last word. A session that was idle when the server stops or drains has lost nothing: no line for it.</summary>
    private void Say(SmtpReply farewell)
    {
        var octets = Session.Close(farewell).Octets;
        if (farewell == SmtpReplies.ShuttingDown)
        {
            _wire.Write(octets);
        }
        else
        {
            WriteReply(octets);
        }
    }

    private async Task ConverseAsync()
    {
        _wire.Write(Session.Greet().Octets);
        while (await _wire.TryFlushAsync())
        {
            // A command must arrive whole in its time: octets that make no line don't start the time anew.
            var wait = ConnectionWait.Command;
            if (Session.IsReceiving)
            {
                wait = ConnectionWait.Data;
                _clock.FollowData(Session.DataPart, Session.DataOctets);
            }

            if (_hasProgress || wait == ConnectionWait.Data)
            {
                _clock.Start(wait);
            }

            _clock.Resume(wait);
            var result = await _wire.ReadAsync();
            _clock.Stop();
            if (result.IsCanceled && _farewell is { } farewell)
            {
                var hasGoneOn = !result.Buffer.IsEmpty;
                Say(farewell);
                _wire.Drop(result.Buffer);
                if ((await _wire.TryFlushAsync() && await _wire.LingerAsync(FarewellLinger, _services.Time)) || hasGoneOn)
                {
                    _unread?.Clear();
                }

                return;
            }

            var input = result.Buffer;
            if (_unread is { Count: > 0 } && (!input.IsEmpty || (result.IsCompleted && await _wire.HasToldAsync())))
            {
                // The client has gone on, or hung up when it had been told: its 250 is not in doubt.
                _unread.Clear();
            }

            var pause = Drive(ref input, ConnectionAnswer.None);
            if (pause != ConnectionPause.NeedInput)
            {
                if (!await FinishAsync(pause, result, input))
                {
                    return;
                }
            }
            else
            {
                Advance(result, input);
            }

            if (result.IsCompleted)
            {
                await _wire.TryFlushAsync();
                return;
            }
        }
    }

    /// <summary>Does what the session asks for until it needs input; false if the conversation is over.</summary>
    private async ValueTask<bool> FinishAsync(ConnectionPause pause, ReadResult result, ReadOnlySequence<byte> input)
    {
        while (pause != ConnectionPause.NeedInput)
        {
            switch (pause)
            {
                case ConnectionPause.Close when Session.IsWithinData:
                    // The client reads the reply only if nothing resets the connection meanwhile.
                    _wire.Drop(result.Buffer);
                    if (await _wire.TryFlushAsync())
                    {
                        await _wire.LingerAsync(FarewellLinger, _services.Time);
                    }

                    return false;
                case ConnectionPause.Close:
                    await _wire.TryFlushAsync();
                    return false;
                case ConnectionPause.StartTls:
                    // What was read in plain is dropped, and nobody reads the pipe but the handshake (CVE-2011-0411).
                    await _wire.TryFlushAsync();
                    _wire.Drop(result.Buffer);
                    await _wire.EstablishTlsAsync(_services.Certificate!.Options);
                    input = ReadOnlySequence<byte>.Empty;
                    Drive(ref input, ConnectionAnswer.TlsEstablished);
                    _hasProgress = true;
                    return true;
            }

            var answer = await DoAsync(pause);
            if (answer == ConnectionAnswer.LeftOpen)
            {
                await _wire.TryFlushAsync();
                return false;
            }

            pause = Drive(ref input, answer);
        }

        Advance(result, input);
        return true;
    }

    private void Advance(ReadResult result, ReadOnlySequence<byte> rest)
    {
        _hasProgress = rest.Length < result.Buffer.Length;
        _wire.Advance(rest);
    }

    /// <summary>Goes through the session's steps as far as that is possible without waiting.</summary>
    private ConnectionPause Drive(ref ReadOnlySequence<byte> input, ConnectionAnswer answer)
    {
        var session = Session;
        var step = Tell(session, answer, ref input);
        while (true)
        {
            switch (step.Kind)
            {
                case SmtpStepKind.Reply:
                    WriteReply(step.Octets);
                    step = session.Next(ref input);
                    continue;
                case SmtpStepKind.CheckSender:
                    if (!TryCheckSender())
                    {
                        return ConnectionPause.Limit;
                    }

                    step = SenderChecked();
                    continue;
                case SmtpStepKind.ResolveRecipient:
                    if (!TryResolve())
                    {
                        return ConnectionPause.Limit;
                    }

                    step = RecipientResolved();
                    continue;
                case SmtpStepKind.StartMessage when _body is null:
                    step = StartMessage();
                    continue;
                case SmtpStepKind.StartMessage:
                    return ConnectionPause.Restart;
                case SmtpStepKind.Body:
                    if (!_body!.TryWrite(step.Octets))
                    {
                        KeepOverflow(step.Octets);
                        return ConnectionPause.Overflow;
                    }

                    step = session.Next(ref input);
                    continue;
                case SmtpStepKind.DiscardMessage:
                    return ConnectionPause.Discard;
                case SmtpStepKind.CommitMessage:
                    return ConnectionPause.Commit;
                case SmtpStepKind.VerifyPassword:
                    return ConnectionPause.VerifyPassword;
                case SmtpStepKind.DelayRejection:
                    return ConnectionPause.DelayRejection;
                case SmtpStepKind.FindHash:
                    step = session.HashFound(_services.Passwords.HashOf(session.ClaimedUser), PasswordVerifier.NewNonce());
                    continue;
                case SmtpStepKind.StartTls:
                    _wire.Write(step.Octets);
                    return ConnectionPause.StartTls;
                case SmtpStepKind.Close:
                    WriteReply(step.Octets);
                    return ConnectionPause.Close;
                default:
                    if (!session.HasTransaction)
                    {
                        _clock.EndTransaction();
                        _limits?.End();
                    }

                    return ConnectionPause.NeedInput;
            }
        }
    }

    private SmtpStep Tell(SmtpSession session, ConnectionAnswer answer, ref ReadOnlySequence<byte> input)
    {
        switch (answer)
        {
            case ConnectionAnswer.MayStart:
                return StartMessage();
            case ConnectionAnswer.NotStored:
                return session.MessageRefused(_services.Intake.NotStored, ref input);
            case ConnectionAnswer.Committed:
                var id = _committed;
                (_unread ??= []).Add(id);
                return session.MessageCommitted(id);
            case ConnectionAnswer.NotCommitted:
                return session.MessageNotCommitted(_refusal!);
            case ConnectionAnswer.Limited:
                return session.Subject == ReplySubject.Recipient ? RecipientResolved() : SenderChecked();
            case ConnectionAnswer.PasswordRight:
                return session.PasswordVerified(isCorrect: true);
            case ConnectionAnswer.PasswordWrong:
                return session.PasswordVerified(isCorrect: false);
            case ConnectionAnswer.RejectionDelayed:
                return session.RejectionDelayed();
            case ConnectionAnswer.TlsEstablished:
                return session.TlsEstablished(ref input);
            default:
                return session.Next(ref input);
        }
    }

    private async ValueTask<ConnectionAnswer> DoAsync(ConnectionPause pause)
    {
        switch (pause)
        {
            case ConnectionPause.Overflow:
                return await WriteOverflowAsync();
            case ConnectionPause.Commit:
                return await CommitAsync();
            case ConnectionPause.Limit:
                return await TakeLimitsAsync();
            case ConnectionPause.VerifyPassword:
                return await VerifyPasswordAsync();
            case ConnectionPause.DelayRejection:
                return await DelayRejectionAsync();
            default:
                await DropBodyAsync();
                return pause == ConnectionPause.Restart ? ConnectionAnswer.MayStart : ConnectionAnswer.None;
        }
    }

    private async ValueTask<ConnectionAnswer> VerifyPasswordAsync()
    {
        var isRight = await _services.Passwords.VerifyAsync(Session.ClaimedUser, Session.ClaimedPassword, _connection.ConnectionClosed);
        return isRight ? ConnectionAnswer.PasswordRight : ConnectionAnswer.PasswordWrong;
    }

    /// <summary>Finds out whose connection it is; false if a load balancer doesn't say.</summary>
    private async ValueTask<bool> TryIdentifyAsync()
    {
        SetClient((_connection.RemoteEndPoint as IPEndPoint)?.Address ?? IPAddress.None);
        if (!_services.Options.ProxyFrom.Contains(_client))
        {
            return true;
        }

        var (status, client) = await _wire.ReadProxyHeaderAsync();
        if (status != ProxyHeaderStatus.Complete)
        {
            if (status == ProxyHeaderStatus.Invalid)
            {
                LogNoProxyHeader(_services.Logger, _client);
            }

            // Otherwise it was a probe, which only connects.
            return false;
        }

        // A probe of the load balancer's own, or a client that it can't name: whoever that is, it has none of the balancer's rights.
        _isKnown = client is not null;
        SetClient(client?.Address ?? _client);
        return true;
    }

    private void SetClient(IPAddress address)
    {
        _client = NetworkList.Plain(address);
        _clientText = _client.ToString();
    }

    private async ValueTask EndAsync(IPAddress? counted)
    {
        _clock.Stop();
        NoteLoss();
        _limits?.End();
        foreach (var id in _unread ?? [])
        {
            await _services.Intake.ReportUnreadAsync(id);
        }

        await DropBodyAsync();
        _services.Connections.Remove(this, counted);
    }

    [LoggerMessage(20, LogLevel.Information, "TLS handshake with {client} failed: {reason}")]
    private static partial void LogHandshakeFailed(ILogger log, IPAddress client, string reason);

    [LoggerMessage(21, LogLevel.Warning, "{proxy} is in proxy_from but sent no PROXY header: closed")]
    private static partial void LogNoProxyHeader(ILogger log, IPAddress proxy);
}
