using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Net.Security;
using System.Security.Authentication;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;
using Quorumail.Core.Mail;
using Quorumail.Core.Smtp;
using Quorumail.Server.Http;
using Quorumail.Server.Logging;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Smtp;

/// <summary>
/// One SMTP connection: moves octets between the pipes and the session, does what the session's steps ask for, and lets
/// time pass. All of it runs on one loop; only <see cref="Tick"/>, <see cref="Drain"/> and <see cref="Abort"/> come from
/// elsewhere.
/// </summary>
internal sealed partial class SmtpConnection(ConnectionContext connection, SmtpServices services, SmtpListener listener)
    : IAsyncDisposable
{
    private readonly ReceivingOptions _options = services.Options;
    private PipeReader _input = connection.Transport.Input;
    private PipeWriter _output = connection.Transport.Output;
    private SmtpSession? _session;
    private IPAddress _client = IPAddress.None;
    private string _clientText = string.Empty;
    private SslStream? _tls;
    private BodyWriter? _body;
    private byte[]? _overflow;
    private int _overflowLength;
    private SmtpReply? _refusal;
    private QueueId _committed;
    private bool _hasProgress = true;
    private bool _isFlushDue;
    private CancellationTokenSource? _commitTimer;
    private List<QueueId>? _unread;
    private bool _isTrusted;
    private bool _isAskingRecipient;
    private bool _isRejecting;

    // Written by the loop, read by the ticks.
    private volatile Wait _wait;
    private volatile SmtpReply? _farewell;
    private long _waitSince;
    private long _transactionSince;
    private long _dataSince;
    private long _dataOctets;

    /// <summary>What the loop waits for.</summary>
    private enum Wait
    {
        None,
        Handshake,
        Command,
        Data,
        Commit,
        Write,
    }

    /// <summary>Why <see cref="Drive"/> has come back.</summary>
    private enum Pause
    {
        NeedInput,
        Overflow,
        Discard,
        Restart,
        Commit,
        VerifyPassword,
        StartTls,
        Close,
    }

    /// <summary>What <see cref="Drive"/> tells the session first.</summary>
    private enum Answer
    {
        None,
        MayStart,
        NotStored,
        Committed,
        NotCommitted,
        PasswordRight,
        PasswordWrong,
        TlsEstablished,
    }

    private SmtpSession Session => _session!;

    /// <summary>Serves the connection to its end.</summary>
    public async Task RunAsync()
    {
        if (!services.Connections.TryAdd(this))
        {
            await RefuseAsync(SmtpReplies.TooManyConnections);
            return;
        }

        IPAddress? counted = null;
        try
        {
            StartWait(Wait.Handshake);
            if (!await TryReadProxyHeaderAsync())
            {
                return;
            }

            _isTrusted = _options.Trusted.Contains(_client);
            var isExempt = _isTrusted || IPAddress.IsLoopback(_client);
            if (!isExempt && !services.Connections.TryCount(counted = _client))
            {
                counted = null;
                Metrics.RateLimitHits.Inc();
                await RefuseAsync(SmtpReplies.TooManyConnections);
                return;
            }

            if (services.Connections.IsDraining)
            {
                await RefuseAsync(SmtpReplies.ShuttingDown);
                return;
            }

            if (listener.HasImplicitTls)
            {
                await EstablishTlsAsync();
            }

            _session = new SmtpSession(
                listener.Service, _client, listener.OffersStartTls && services.Certificate is not null, hasTls: _tls is not null);
            await ConverseAsync();
        }
        catch (AuthenticationException failure)
        {
            LogHandshakeFailed(services.Logger, _client, failure.Message);
        }
        finally
        {
            await EndAsync(counted);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_tls is not null)
        {
            await _tls.DisposeAsync();
        }

        _commitTimer?.Dispose();
    }

    /// <summary>Lets time pass; from the connections' clock, once a second.</summary>
    public void Tick(long now)
    {
        var wait = _wait;
        var waited = services.Time.GetElapsedTime(Volatile.Read(ref _waitSince), now);
        switch (wait)
        {
            case Wait.Handshake when waited > _options.HandshakeTimeout:
            case Wait.Write when waited > _options.WriteTimeout:
                Abort();
                break;
            case Wait.Commit when waited > _options.CommitTimeout:
                CancelCommit();
                break;
            case Wait.Command or Wait.Data when waited > _options.CommandTimeout || HasLastedTooLong(now):
                Interrupt(SmtpReplies.TimedOut);
                break;
            case Wait.Command when services.Connections.IsDraining:
                Drain();
                break;
            case Wait.Data when IsTooSlow(now):
                Interrupt(SmtpReplies.TooSlow);
                break;
        }
    }

    /// <summary>The server stops: an idle session is told so.</summary>
    public void Drain()
    {
        if (_wait == Wait.Command && Volatile.Read(ref _transactionSince) == 0)
        {
            Interrupt(SmtpReplies.ShuttingDown);
        }
    }

    /// <summary>Cuts the connection off.</summary>
    public void Abort() => connection.Abort();

    private bool HasLastedTooLong(long now)
    {
        var since = Volatile.Read(ref _transactionSince);
        return since != 0 && services.Time.GetElapsedTime(since, now) > _options.TransactionTimeout;
    }

    private bool IsTooSlow(long now)
    {
        var elapsed = services.Time.GetElapsedTime(Volatile.Read(ref _dataSince), now);
        return elapsed > _options.DataRateGrace && Volatile.Read(ref _dataOctets) < elapsed.TotalSeconds * _options.DataRateMin;
    }

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
        _input.CancelPendingRead();
    }

    private void StartWait(Wait wait)
    {
        Volatile.Write(ref _waitSince, services.Time.GetTimestamp());
        _wait = wait;
    }

    private async Task ConverseAsync()
    {
        Write(Session.Greet().Octets);
        while (await TryFlushAsync())
        {
            // A command must arrive whole in its time: octets that make no line don't start the time anew.
            var wait = Session.IsReceiving ? Wait.Data : Wait.Command;
            if (_hasProgress || wait == Wait.Data)
            {
                StartWait(wait);
            }

            _wait = wait;
            var reading = _input.ReadAsync(CancellationToken.None);
            var wasThere = reading.IsCompleted;
            var result = await reading;
            _wait = Wait.None;
            if (result.IsCanceled && _farewell is { } farewell)
            {
                Write(Session.Close(farewell).Octets);
                await TryFlushAsync();
                return;
            }

            var input = result.Buffer;
            if (!wasThere || !input.IsEmpty)
            {
                // The client has gone on, or hung up after it had time to read: its 250 is not in doubt.
                _unread?.Clear();
            }

            var pause = Drive(ref input, Answer.None);
            if (pause != Pause.NeedInput)
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
                await TryFlushAsync();
                return;
            }
        }
    }

    /// <summary>Does what the session asks for until it needs input; false if the conversation is over.</summary>
    private async ValueTask<bool> FinishAsync(Pause pause, ReadResult result, ReadOnlySequence<byte> input)
    {
        while (pause != Pause.NeedInput)
        {
            switch (pause)
            {
                case Pause.Close:
                    await TryFlushAsync();
                    return false;
                case Pause.StartTls:
                    // What was read in plain is dropped, and nobody reads the pipe but the handshake (CVE-2011-0411).
                    await TryFlushAsync();
                    _input.AdvanceTo(result.Buffer.End);
                    await EstablishTlsAsync();
                    input = ReadOnlySequence<byte>.Empty;
                    Drive(ref input, Answer.TlsEstablished);
                    _hasProgress = true;
                    return true;
            }

            pause = Drive(ref input, await DoAsync(pause));
        }

        Advance(result, input);
        return true;
    }

    private void Advance(ReadResult result, ReadOnlySequence<byte> rest)
    {
        _hasProgress = rest.Length < result.Buffer.Length;
        _input.AdvanceTo(rest.Start, rest.End);
    }

    /// <summary>Goes through the session's steps as far as that is possible without waiting.</summary>
    private Pause Drive(ref ReadOnlySequence<byte> input, Answer answer)
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
                    step = session.SenderChecked(CheckSender());
                    continue;
                case SmtpStepKind.ResolveRecipient:
                    _isAskingRecipient = true;
                    step = session.RecipientResolved(Resolve(session.ForwardPath));
                    continue;
                case SmtpStepKind.StartMessage when _body is null:
                    step = StartMessage();
                    continue;
                case SmtpStepKind.StartMessage:
                    return Pause.Restart;
                case SmtpStepKind.Body:
                    Volatile.Write(ref _dataOctets, _dataOctets + step.Octets.Length);
                    if (!_body!.TryWrite(step.Octets))
                    {
                        KeepOverflow(step.Octets);
                        return Pause.Overflow;
                    }

                    step = session.Next(ref input);
                    continue;
                case SmtpStepKind.DiscardMessage:
                    _isRejecting = true;
                    return Pause.Discard;
                case SmtpStepKind.CommitMessage:
                    return Pause.Commit;
                case SmtpStepKind.VerifyPassword:
                    return Pause.VerifyPassword;
                case SmtpStepKind.FindHash:
                    step = session.HashFound(services.Passwords.HashOf(session.ClaimedUser), PasswordVerifier.NewNonce());
                    continue;
                case SmtpStepKind.StartTls:
                    Write(step.Octets);
                    return Pause.StartTls;
                case SmtpStepKind.Close:
                    WriteReply(step.Octets);
                    return Pause.Close;
                default:
                    if (!session.HasTransaction)
                    {
                        Volatile.Write(ref _transactionSince, 0);
                    }

                    return Pause.NeedInput;
            }
        }
    }

    private SmtpStep Tell(SmtpSession session, Answer answer, ref ReadOnlySequence<byte> input)
    {
        switch (answer)
        {
            case Answer.MayStart:
                return StartMessage();
            case Answer.NotStored:
                return session.MessageRefused(SmtpReplies.StorageFailed, ref input);
            case Answer.Committed:
                var id = _committed;
                (_unread ??= []).Add(id);
                return session.MessageCommitted(id);
            case Answer.NotCommitted:
                _isRejecting = true;
                return session.MessageNotCommitted(_refusal!);
            case Answer.PasswordRight:
                return session.PasswordVerified(isCorrect: true);
            case Answer.PasswordWrong:
                return session.PasswordVerified(isCorrect: false);
            case Answer.TlsEstablished:
                return session.TlsEstablished(ref input);
            default:
                return session.Next(ref input);
        }
    }

    private async ValueTask<Answer> DoAsync(Pause pause)
    {
        switch (pause)
        {
            case Pause.Overflow:
                return await WriteOverflowAsync();
            case Pause.Commit:
                return await CommitAsync();
            case Pause.VerifyPassword:
                return await VerifyPasswordAsync();
            default:
                await DropBodyAsync();
                return pause == Pause.Restart ? Answer.MayStart : Answer.None;
        }
    }

    private SmtpReply? CheckSender()
    {
        var session = Session;
        var refusal = services.Connections.IsDraining ? SmtpReplies.ShuttingDown : services.Intake.Refusal;
        if (refusal is null && session.User is { } user && !services.Directory.MaySendFrom(user, session.ReversePath))
        {
            refusal = SmtpReplies.NotSendersAddress;
        }

        if (refusal is null && !_isTrusted && !IPAddress.IsLoopback(_client) && !services.MessageRates.TryTake(_client))
        {
            Metrics.RateLimitHits.Inc();
            refusal = SmtpReplies.TooManyMessages;
        }

        if (refusal is null)
        {
            Volatile.Write(ref _transactionSince, services.Time.GetTimestamp());
        }
        else
        {
            Metrics.MessagesRejected.Inc();
        }

        return refusal;
    }

    private RecipientResolution Resolve(MailPath path)
    {
        var mayRelay = _isTrusted || Session.User is not null;
        switch (services.Directory.Resolve(path, mayRelay, out var address, out var addresses))
        {
            case AddressVerdict.Local or AddressVerdict.Relay:
                return addresses is null ? RecipientResolution.Accept(address) : RecipientResolution.Accept(addresses);
            case AddressVerdict.UnknownUser:
                return RecipientResolution.Refuse(SmtpReplies.UnknownUser);
            default:
                return RecipientResolution.Refuse(SmtpReplies.RelayDenied);
        }
    }

    private SmtpStep StartMessage()
    {
        var id = services.Intake.NewId();
        _body = services.Intake.Begin(id, Session.DeclaredSize);
        _isRejecting = false;
        _dataOctets = 0;
        Volatile.Write(ref _dataSince, services.Time.GetTimestamp());
        return Session.MessageStarted(id, services.Time.GetUtcNow());
    }

    private void KeepOverflow(ReadOnlySpan<byte> octets)
    {
        _overflow = ArrayPool<byte>.Shared.Rent(octets.Length);
        _overflowLength = octets.Length;
        octets.CopyTo(_overflow);
    }

    private async ValueTask<Answer> WriteOverflowAsync()
    {
        try
        {
            await _body!.WriteAsync(_overflow.AsMemory(0, _overflowLength), CancellationToken.None);
            return Answer.None;
        }
        catch (StorageException failure)
        {
            LogBodyFailed(services.Logger, _body!.Id, failure.Message);
            await DropBodyAsync();
            return Answer.NotStored;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(_overflow!);
            _overflow = null;
        }
    }

    private async ValueTask<Answer> CommitAsync()
    {
        var session = Session;
        var body = _body!;
        var envelope = session.Envelope;
        var started = services.Time.GetTimestamp();
        _body = null;
        _committed = body.Id;
        MailLog.Received(
            services.MailLogger, body.Id, envelope.ReversePath, _clientText, session.Helo, session.Protocol, body.Size, envelope.Recipients.Count, session.User);
        if (_commitTimer is null || !_commitTimer.TryReset())
        {
            _commitTimer?.Dispose();
            _commitTimer = new CancellationTokenSource();
        }

        StartWait(Wait.Commit);
        _refusal = await services.Intake.CommitAsync(body, envelope, session.Traits, _commitTimer.Token);
        _wait = Wait.None;
        if (_refusal is not null)
        {
            return Answer.NotCommitted;
        }

        var delay = services.Time.GetElapsedTime(started);
        Metrics.MessagesReceived.Inc();
        Metrics.MessageSize.Observe(body.Size);
        Metrics.CommitDuration.Observe(delay.TotalSeconds);
        MailLog.Queued(services.MailLogger, body.Id, envelope.ReversePath, body.Size, envelope.Recipients.Count, delay);
        return Answer.Committed;
    }

    private async ValueTask<Answer> VerifyPasswordAsync()
    {
        var isRight = await services.Passwords.VerifyAsync(Session.ClaimedUser, Session.ClaimedPassword, connection.ConnectionClosed);
        if (!isRight)
        {
            await Task.Delay(_options.AuthenticationPause, services.Time, connection.ConnectionClosed);
        }

        return isRight ? Answer.PasswordRight : Answer.PasswordWrong;
    }

    private async ValueTask DropBodyAsync()
    {
        if (_body is { } body)
        {
            _body = null;
            await body.DisposeAsync();
        }
    }

    private async ValueTask<bool> TryReadProxyHeaderAsync()
    {
        SetClient((connection.RemoteEndPoint as IPEndPoint)?.Address ?? IPAddress.None);
        if (!_options.ProxyFrom.Contains(_client))
        {
            return true;
        }

        while (true)
        {
            var result = await _input.ReadAsync(CancellationToken.None);
            var input = result.Buffer;
            var status = ProxyHeader.Read(ref input, out var client);
            _input.AdvanceTo(input.Start, status == ProxyHeaderStatus.Complete ? input.Start : input.End);
            switch (status)
            {
                case ProxyHeaderStatus.Complete:
                    SetClient(client?.Address ?? _client);
                    return true;
                case ProxyHeaderStatus.Invalid:
                    LogNoProxyHeader(services.Logger, _client);
                    return false;
                case ProxyHeaderStatus.NeedInput when result.IsCompleted:
                    return false;
            }
        }
    }

    private void SetClient(IPAddress address)
    {
        _client = NetworkList.Plain(address);
        _clientText = _client.ToString();
    }

    private async Task EstablishTlsAsync()
    {
        StartWait(Wait.Handshake);
        var stream = new TransportStream(connection.Transport.Input, connection.Transport.Output);
        _tls = new SslStream(stream, leaveInnerStreamOpen: true);
        await _tls.AuthenticateAsServerAsync(services.Certificate!.Options, connection.ConnectionClosed);
        _wait = Wait.None;

        // Reading nothing first means that an idle connection holds no buffer.
        _input = PipeReader.Create(_tls, new StreamPipeReaderOptions(leaveOpen: true, useZeroByteReads: true));
        _output = PipeWriter.Create(_tls, new StreamPipeWriterOptions(leaveOpen: true));
    }

    private void Write(ReadOnlySpan<byte> octets)
    {
        octets.CopyTo(_output.GetSpan(octets.Length));
        _output.Advance(octets.Length);
        _isFlushDue = true;
    }

    private void WriteReply(ReadOnlySpan<byte> octets)
    {
        if (octets.IsEmpty)
        {
            return;
        }

        Write(octets);
        if (octets[0] >= (byte)'4' || octets.StartsWith("235"u8))
        {
            Note(octets);
        }

        _isAskingRecipient = false;
    }

    /// <summary>Counts and logs a reply that says no, or that somebody has authenticated.</summary>
    private void Note(ReadOnlySpan<byte> reply)
    {
        if (reply[0] == (byte)'2')
        {
            Metrics.AuthSuccesses.Inc();
            return;
        }

        if (reply.StartsWith("535"u8))
        {
            Metrics.AuthFailures.Inc();
        }

        var session = Session;
        var from = session.HasTransaction ? session.ReversePath.Address : null;
        string? to = null;
        if (_isAskingRecipient)
        {
            Metrics.RecipientsRejected.Inc();
            to = session.ForwardPath.Address;
        }
        else if (_isRejecting)
        {
            _isRejecting = false;
            Metrics.MessagesRejected.Inc();
        }

        MailLog.Rejected(services.MailLogger, _clientText, session.Helo, from, to, Printable.Ascii(reply[..^2], 512));
    }

    private ValueTask<bool> TryFlushAsync()
    {
        if (!_isFlushDue)
        {
            return ValueTask.FromResult(true);
        }

        _isFlushDue = false;
        var flushing = _output.FlushAsync(CancellationToken.None);
        if (!flushing.IsCompletedSuccessfully)
        {
            return AwaitFlushAsync(flushing);
        }

#pragma warning disable VSTHRD103 // It is complete: this is how a ValueTask is read without a state machine.
        return ValueTask.FromResult(!flushing.Result.IsCompleted);
#pragma warning restore VSTHRD103
    }

    private async ValueTask<bool> AwaitFlushAsync(ValueTask<FlushResult> flushing)
    {
        StartWait(Wait.Write);
        var result = await flushing;
        _wait = Wait.None;
        return !result.IsCompleted;
    }

    private async Task RefuseAsync(SmtpReply reply)
    {
        if (!listener.HasImplicitTls)
        {
            Write(reply.Wire);
            await TryFlushAsync();
        }
    }

    private async ValueTask EndAsync(IPAddress? counted)
    {
        _wait = Wait.None;
        foreach (var id in _unread ?? [])
        {
            services.Intake.ReportUnread(id);
        }

        await DropBodyAsync();
        services.Connections.Remove(this, counted);
    }

    [LoggerMessage(20, LogLevel.Information, "TLS handshake with {client} failed: {reason}")]
    private static partial void LogHandshakeFailed(ILogger log, IPAddress client, string reason);

    [LoggerMessage(21, LogLevel.Warning, "{proxy} is in proxy_from but sent no PROXY header: closed")]
    private static partial void LogNoProxyHeader(ILogger log, IPAddress proxy);

    [LoggerMessage(22, LogLevel.Error, "the body of {id} could not be written: {reason}")]
    private static partial void LogBodyFailed(ILogger log, QueueId id, string reason);
}
