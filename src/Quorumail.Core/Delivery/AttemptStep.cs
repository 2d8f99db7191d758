namespace Quorumail.Core.Delivery;

/// <summary>What follows the answer to a proposed AttemptEnded.</summary>
public enum AttemptStep
{
    /// <summary>The result is recorded.</summary>
    Recorded = 0,

    /// <summary>Whether it is recorded is not known: wait a moment and propose the same command again.</summary>
    ProposeAgain = 1,

    /// <summary>A notice's id was taken: conclude again, which gives new ids, and compose and store the notices again.</summary>
    RenewNotices = 2,

    /// <summary>
    /// It will never apply: an earlier proposal of it did, the message is gone, or its epoch has risen. Its notices were
    /// given up. Show the scheduler the message as the queue has it now, for a risen epoch is not reported message by
    /// message; then complete the job as not recorded.
    /// </summary>
    Superseded = 3,

    /// <summary>
    /// The message has another owner, and of the results those are recorded whose attempt was started before. Go on as after
    /// <see cref="Superseded"/>.
    /// </summary>
    RecordedInPart = 4,
}
