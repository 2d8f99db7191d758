namespace Quorumail.Simulation;

/// <summary>A mistake put into the simulated server on purpose: the simulator must find it.</summary>
public enum PlantedFault
{
    None = 0,

    /// <summary>Answers 250 as soon as the body is durable.</summary>
    AcknowledgesBeforeCommit,

    /// <summary>Proposes Enqueue before the body is durable.</summary>
    EnqueuesBeforeFsync,

    /// <summary>Sends the final dot without waiting for an accepted start.</summary>
    SendsDotWithoutStart,

    /// <summary>Records a delivery in doubt as a plain deferral.</summary>
    ForgetsDoubt,

    /// <summary>Deletes the body when the next hop has taken the message, before that is recorded.</summary>
    DeletesBodyEarly,

    /// <summary>Does not tell the log that it has begun a new life.</summary>
    ForgetsItsRestart,

    /// <summary>Does not take back what it has answered 451 for.</summary>
    ForgetsToWithdraw,

    /// <summary>Records a bounce without its notice.</summary>
    LosesNotices,

    /// <summary>Of several nodes: names copies of which it has not heard that they are durable.</summary>
    ClaimsCopies,

    /// <summary>Of several nodes: begins a new life under the number of the last one.</summary>
    KeepsItsLife,

    /// <summary>Of several nodes: does not tell which bodies it lacks after it was given the queue.</summary>
    ForgetsWhatItLacks,

    /// <summary>Of several nodes: does not look at messages that come to it from a lost one.</summary>
    MissesMoves,

    /// <summary>Of several nodes: does not look again when an operator has resumed a destination or a sender.</summary>
    MissesResumes,

    /// <summary>Of several nodes: never says that a lost owner's result is waited for no more.</summary>
    NeverGivesUp,

    /// <summary>Of several nodes: delivers by the wall clock of its machine.</summary>
    DeliversByItsWallClock,

    /// <summary>Of several nodes: says as a leader what its machine's wall clock says.</summary>
    StampsByItsWallClock,

    /// <summary>Of several nodes: does not go on from the time that the log says.</summary>
    IgnoresStamps,

    /// <summary>Of several nodes: never makes copies again, and takes them for made when a node leaves or loses its disk.</summary>
    NeverCopiesAgain,

    /// <summary>Of several nodes: names copies whose disks are slow before they are durable.</summary>
    WaitsForNoSlowDisk,
}
