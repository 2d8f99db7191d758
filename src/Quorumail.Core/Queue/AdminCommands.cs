namespace Quorumail.Core.Queue;

/// <summary>
/// An operator's change to queued messages. How many it has changed, and whether more match, is told when it is applied
/// (<see cref="QueueChanges.Matched"/>, <see cref="QueueChanges.HasMore"/>); repeating it goes on with the rest.
/// </summary>
/// <param name="Action">What is to be done.</param>
/// <param name="Selection">To which messages; those for which nothing is to be done are left out.</param>
/// <param name="Limit">At most this many, the oldest first; 1 to <see cref="QueueLimits.MaxBatch"/>.</param>
/// <param name="Reason">For the list of removed messages; empty for none.</param>
public sealed record AdministerCommand(
    QueueAction Action,
    QueueSelection Selection,
    int Limit = 10_000,
    string Reason = "") : QueueCommand
{
    /// <summary>
    /// Requeues every recipient that waits and has not been requeued in this way since its last attempt: one that is due already, and is kept back by
    /// its destination, too. False: those alone whose time has not come.
    /// </summary>
    public bool IncludesDue { get; init; }
}

/// <summary>
/// Begins no attempt any more for a destination domain or a sender, until it is resumed or the time has come. A later one
/// for the same replaces it. Attempts under way go on.
/// </summary>
/// <param name="Scope">Of what.</param>
/// <param name="Name">A domain, or a sender's address; empty for the null sender. Case does not matter.</param>
/// <param name="Reason">One line for the operator.</param>
/// <param name="ExpiresAt">Milliseconds of cluster time; 0: never.</param>
public sealed record SuspendCommand(SuspensionScope Scope, string Name, string Reason, long ExpiresAt = 0) : QueueCommand;

/// <summary>Ends a suspension; refused (<see cref="ApplyStatus.NotFound"/>) if there is none.</summary>
public sealed record ResumeCommand(SuspensionScope Scope, string Name) : QueueCommand;
