using System.Buffers;
using Microsoft.Extensions.Logging;
using Quorumail.Core.Mail;
using Quorumail.Core.Smtp;
using Quorumail.Server.Http;
using Quorumail.Server.Logging;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Smtp;

/// <content>What becomes of a message's octets.</content>
internal sealed partial class SmtpConnection
{
    private SmtpStep StartMessage()
    {
        var id = _services.Intake.NewId();
        _body = _services.Intake.Begin(id, Session.DeclaredSize);
        return Session.MessageStarted(id, _services.Time.GetUtcNow());
    }

    private void KeepOverflow(ReadOnlySpan<byte> octets)
    {
        _overflow = ArrayPool<byte>.Shared.Rent(octets.Length);
        _overflowLength = octets.Length;
        octets.CopyTo(_overflow);
    }

    private async ValueTask<ConnectionAnswer> WriteOverflowAsync()
    {
        try
        {
            await _body!.WriteAsync(_overflow.AsMemory(0, _overflowLength), CancellationToken.None);
            return ConnectionAnswer.None;
        }
        catch (StorageException failure)
        {
            LogBodyFailed(_services.Logger, _body!.Id, failure.Message);
            await DropBodyAsync();
            return ConnectionAnswer.NotStored;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(_overflow!);
            _overflow = null;
        }
    }

    private async ValueTask<ConnectionAnswer> CommitAsync()
    {
        var session = Session;
        var body = _body!;
        var envelope = session.Envelope;
        var started = _services.Time.GetTimestamp();
        _body = null;
        _committed = body.Id;
        MailLog.Received(
            _services.MailLogger, body.Id, envelope.ReversePath, _clientText, session.Helo, session.Protocol, body.Size, envelope.Recipients.Count, session.User);
        _limits?.Use();
        var bound = StartCommitTimer();
        (var isQueued, _refusal, var mayBeQueued) = await _services.Intake.CommitAsync(body, envelope, session.Traits, bound);
        _clock.Stop();
        if (!mayBeQueued)
        {
            _limits?.Refused();
        }

        if (!isQueued)
        {
            return _refusal is null ? ConnectionAnswer.LeftOpen : ConnectionAnswer.NotCommitted;
        }

        var delay = _services.Time.GetElapsedTime(started);
        Metrics.MessagesReceived.Inc();
        Metrics.MessageSize.Observe(body.Size);
        Metrics.CommitDuration.Observe(delay.TotalSeconds);
        Metrics.ProcessingDuration.Observe(_clock.TransactionTime.TotalSeconds);
        MailLog.Queued(_services.MailLogger, body.Id, envelope.ReversePath, body.Size, envelope.Recipients.Count, delay);
        return ConnectionAnswer.Committed;
    }

    /// <summary>Begins a wait for the log; ticks end it.</summary>
    private CancellationToken StartCommitTimer()
    {
        if (_commitTimer is null || !_commitTimer.TryReset())
        {
            _commitTimer?.Dispose();
            _commitTimer = new CancellationTokenSource();
        }

        _clock.Start(ConnectionWait.Commit);
        return _commitTimer.Token;
    }

    private async ValueTask DropBodyAsync()
    {
        if (_body is { } body)
        {
            _body = null;
            await body.DisposeAsync();
        }
    }

    [LoggerMessage(22, LogLevel.Error, "the body of {id} could not be written: {reason}")]
    private static partial void LogBodyFailed(ILogger log, QueueId id, string reason);
}
