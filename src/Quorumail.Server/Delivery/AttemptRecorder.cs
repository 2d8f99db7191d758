using Microsoft.Extensions.Logging;
using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Http;
using Quorumail.Server.Logging;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Delivery;

/// <summary>
/// Puts the outcome of an attempt into the log, together with the notices that it asks for, and proposes it until its own outcome
/// is known. Then writes the log lines and counts.
/// </summary>
internal sealed partial class AttemptRecorder(
    IDeliveryQueue queue, NoticeWriter notices, DeliverySettings settings, TimeProvider time, Func<double> random, ILogger mailLog, ILogger log)
{
    /// <summary>Concludes an attempt and records it.</summary>
    /// <param name="attempt">All its talking is over.</param>
    /// <param name="token">Gives up recording, when the process must end.</param>
    /// <returns>Whether the queue is known to have accepted the whole record; if not, look at the message as it stands.</returns>
    public async Task<bool> RecordAsync(DeliveryAttempt attempt, CancellationToken token)
    {
        while (true)
        {
            var conclusion = attempt.Conclude(settings.Retry, queue.ClusterTime, random(), settings.SendersOf);
            if (await TryWriteNoticesAsync(conclusion, token) is not { } commands)
            {
                await Task.Delay(settings.RecordAgainAfter, time, token);
                continue;
            }

            switch (await ProposeAsync(attempt, attempt.Record(commands), token))
            {
                case AttemptStep.Recorded:
                    Report(attempt.Job, conclusion);
                    return true;
                case AttemptStep.RecordedInPart:
                    Report(attempt.Job, conclusion);
                    return false;
                case AttemptStep.Superseded when attempt.IsRecordedIn(queue.Find(attempt.Job.Message.Id)):
                    // The answer to an earlier proposal was lost, not what it said.
                    Report(attempt.Job, conclusion);
                    return false;
                case AttemptStep.Superseded:
                    LogSuperseded(log, attempt.Job.Message.Id, attempt.Job.Attempt);
                    return false;
                default:
                    // A notice's derived id was taken by what an earlier life left: with new ids.
                    break;
            }
        }
    }

    private async Task<AttemptStep> ProposeAsync(DeliveryAttempt attempt, AttemptEndedCommand record, CancellationToken token)
    {
        while (true)
        {
            ApplyStatus? status;
            using (var deadline = new CancellationTokenSource(settings.ProposalTimeout, time))
            using (var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, token))
            {
                status = await queue.ProposeAsync(record, either.Token);
            }

            var step = attempt.Recorded(status, status is ApplyStatus.StaleEpoch or ApplyStatus.Conflict ? queue.Find(attempt.Job.Message.Id) : null);
            if (step != AttemptStep.ProposeAgain)
            {
                return step;
            }

            await Task.Delay(settings.RecordAgainAfter, time, token);
        }
    }

    private async ValueTask<IReadOnlyList<EnqueueCommand>?> TryWriteNoticesAsync(AttemptConclusion conclusion, CancellationToken token)
    {
        try
        {
            return await notices.WriteAsync(conclusion.Notices, token);
        }
        catch (StorageException error)
        {
            LogNoticeFailed(log, conclusion.Notices[0].Original.Id, error);
            return null;
        }
    }

    private void Report(DeliveryJob job, AttemptConclusion conclusion)
    {
        var message = job.Message;
        var now = queue.ClusterTime;
        var delay = TimeSpan.FromMilliseconds(Math.Max(0, now - message.EnqueuedAt));
        foreach (var result in conclusion.Results)
        {
            var to = message.Recipients[result.Recipient].Envelope.Address;
            var relay = result.NextHop.Length > 0 ? result.NextHop : null;
            switch (result.Outcome)
            {
                case RecipientOutcome.Delivered:
                    Metrics.SentDelivered.Inc();
                    MailLog.Delivered(mailLog, message.Id, message.ReversePath, to, relay, result.Reply, result.EnhancedCode, delay);
                    break;
                case RecipientOutcome.Bounced or RecipientOutcome.Dropped:
                    Metrics.SentFailed.Inc();
                    MailLog.Bounced(mailLog, message.Id, message.ReversePath, to, relay, result.Reply, result.EnhancedCode, delay, NoticeOf(conclusion, result));
                    break;
                default:
                    (result.Outcome == RecipientOutcome.InDoubt ? Metrics.InDoubt : Metrics.Deferrals).Inc();
                    var next = TimeSpan.FromMilliseconds(Math.Max(0, result.NextAttemptAt - now));
                    MailLog.Deferred(mailLog, message.Id, message.ReversePath, to, relay, result.Reply, result.EnhancedCode, delay, next);
                    break;
            }
        }

        foreach (var plan in conclusion.Unaddressed)
        {
            Metrics.NoticesUnaddressed.Inc();
            LogUnaddressed(log, plan.Kind, message.Id, message.ReversePath);
        }

        if (queue.Find(message.Id) is null)
        {
            MailLog.Removed(mailLog, message.Id, message.ReversePath, delay);
        }
    }

    private static QueueId? NoticeOf(AttemptConclusion conclusion, RecipientResult result)
    {
        foreach (var plan in conclusion.Notices)
        {
            if (plan.Kind == NoticeKind.Failure && plan.Recipients.Any(recipient => recipient.Result.Recipient == result.Recipient))
            {
                return plan.Id;
            }
        }

        return null;
    }

    [LoggerMessage(1, LogLevel.Information, "the outcome of attempt {Attempt} of message {Id} was not recorded: the queue has another")]
    private static partial void LogSuperseded(ILogger log, QueueId id, int attempt);

    [LoggerMessage(3, LogLevel.Information, "the {Kind} notice about message {Id} is not sent: nobody here has the address of its sender, {From}")]
    private static partial void LogUnaddressed(ILogger log, NoticeKind kind, QueueId id, string from);

    [LoggerMessage(2, LogLevel.Error, "a notice about message {Id} can't be stored yet; the outcome waits for it")]
    private static partial void LogNoticeFailed(ILogger log, QueueId id, Exception error);
}
