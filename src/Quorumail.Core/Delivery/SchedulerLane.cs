namespace Quorumail.Core.Delivery;

/// <summary>The state of one destination.</summary>
internal sealed class SchedulerLane(Destination destination)
{
    public Destination Destination { get; } = destination;

    /// <summary>Whether it needs no next hop.</summary>
    public bool IsLocal { get; } = destination.Route.Transport is RouteTransport.Maildir or RouteTransport.Discard;

    /// <summary>Entries of this lane, ready or not.</summary>
    public int Entries { get; set; }

    /// <summary>Jobs under way.</summary>
    public int Active { get; set; }

    /// <summary>How often in a row it could not be reached.</summary>
    public int Failures { get; set; }

    /// <summary>When it could not be reached the last time.</summary>
    public long FailedAt { get; set; }

    /// <summary>Not to be tried before this.</summary>
    public long BlockedUntil { get; set; }

    /// <summary>Jobs that a limit lets through at once, as far as is known.</summary>
    public int Allowed { get; set; } = int.MaxValue;

    /// <summary>When one more may be tried than <see cref="Allowed"/>.</summary>
    public long HeldUntil { get; set; }

    /// <summary>How many times of rest of it the scheduler has still to see the end of.</summary>
    public int Rests { get; set; }

    /// <summary>Why it could not be reached.</summary>
    public DeliveryReply? LastFailure { get; set; }

    /// <summary>Where it waits for its turn to give a job; null: nowhere.</summary>
    public Queue<SchedulerLane>? Rotation { get; set; }

    /// <summary>Entries that are due, first come first served.</summary>
    public EntryList Ready { get; } = new();
}
