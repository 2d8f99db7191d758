using Quorumail.Core.Delivery;
using Quorumail.Core.Queue;

namespace Quorumail.Server.Delivery;

/// <summary>
/// The AttemptStarted of one attempt: proposed while the envelope and the message are being sent, asked for before the final dot.
/// </summary>
internal sealed class AttemptStart(DeliveryAttempt attempt, IDeliveryQueue queue, TimeSpan timeout, TimeProvider time)
{
    private Task<bool>? _answer;

    /// <summary>Whether the queue has not accepted it: then there is no dot, and no other host will help.</summary>
    public bool IsRefused => _answer is { IsCompletedSuccessfully: true, Result: false };

    /// <summary>Proposes it, once.</summary>
    public void Begin(CancellationToken token) => _answer ??= ProposeAsync(attempt.Start(), token);

    /// <summary>To be asked right before the dot.</summary>
    public async Task<bool> PermitAsync()
    {
        if (_answer is null || !await _answer)
        {
            return false;
        }

        attempt.SendDot();
        return true;
    }

    /// <summary>Waits for the answer if there was a proposal, so that nothing of it is under way any more.</summary>
    public Task SettleAsync() => _answer ?? Task.CompletedTask;

    private async Task<bool> ProposeAsync(AttemptStartedCommand command, CancellationToken token)
    {
        using var deadline = new CancellationTokenSource(timeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, token);
        var status = await queue.ProposeAsync(command, either.Token);
        return attempt.Started(status);
    }
}
