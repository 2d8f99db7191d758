using Quorumail.Core.Delivery;
using Quorumail.Core.Limits;

namespace Quorumail.Server.Limits;

/// <summary>What deliveries take of the cluster's limits: a token for a message, a slot for a connection. Safe for concurrent use.</summary>
internal sealed class DestinationLimits(SharedLimits limits)
{
    /// <summary>How long nothing is tried after the log could not be asked, in milliseconds.</summary>
    private const long AskAgain = 1000;

    /// <summary>Whether connections to a destination are limited.</summary>
    public bool HasSlots(Destination destination) => limits.Has(destination.Route.ConnectionLimit);

    /// <summary>Takes a token for a message.</summary>
    /// <param name="destination">Where it goes.</param>
    /// <param name="token">Ends the waiting for the log.</param>
    public async ValueTask<DeliveryPermit> TakeAsync(Destination destination, CancellationToken token)
    {
        if (!limits.Has(destination.Route.DeliveryLimit))
        {
            return default;
        }

        var key = destination.ToString();
        try
        {
            while (true)
            {
                var verdict = limits.TryTake(destination.Route.DeliveryLimit, key, out var taken, out var wait, out var until);
                if (verdict != LimitVerdict.Wait)
                {
                    return new DeliveryPermit(taken, verdict == LimitVerdict.Refused ? until : 0);
                }

                await wait!.WaitAsync(token);
            }
        }
        catch (OperationCanceledException)
        {
            return new DeliveryPermit(default, limits.Now + AskAgain);
        }
    }

    /// <summary>A message was not tried after all.</summary>
    public void PutBack(DeliveryPermit permit)
    {
        if (permit.IsTaken)
        {
            limits.PutBack(permit.Token);
        }
    }

    /// <summary>Takes a slot for a connection.</summary>
    /// <returns>The slot; or null and when it makes sense to try again, 0 if connections are not limited.</returns>
    public async ValueTask<(ConnectionSlot? Slot, long HeldUntil)> OpenAsync(Destination destination, CancellationToken token)
    {
        if (!HasSlots(destination))
        {
            return (null, 0);
        }

        try
        {
            return await limits.OpenAsync(destination.Route.ConnectionLimit, destination.ToString(), token);
        }
        catch (OperationCanceledException)
        {
            return (null, limits.Now + AskAgain);
        }
    }
}

/// <summary>What one message may do.</summary>
/// <param name="Token">What was taken for it.</param>
/// <param name="HeldUntil">Nothing before this, in milliseconds of cluster time; 0: it may be delivered.</param>
internal readonly record struct DeliveryPermit(LimitToken Token, long HeldUntil)
{
    /// <summary>Whether it counts.</summary>
    public bool IsTaken => Token.Until != 0;
}
