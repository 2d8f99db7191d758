namespace Quorumail.Core.Queue;

/// <summary>What Apply said to a command. Every node says the same.</summary>
public enum ApplyStatus
{
    /// <summary>Done.</summary>
    Accepted = 0,

    /// <summary>No such message (any more), or no such member.</summary>
    NotFound = 1,

    /// <summary>The queue id is taken.</summary>
    Collision = 2,

    /// <summary>The message was abandoned or withdrawn before, or its id is too old to tell.</summary>
    Abandoned = 3,

    /// <summary>Another owner, or a later life of the owner, has the message; or a later state of the members or of a node is known.</summary>
    StaleEpoch = 4,

    /// <summary>
    /// A recipient is final already, or has another attempt open; or the message to be given up is in the queue and stays
    /// there; or the node is already what the command says.
    /// </summary>
    Conflict = 5,

    /// <summary>The command does not make sense (an index out of range, no recipients).</summary>
    Invalid = 6,

    /// <summary>Too few disks of present members hold the message, or its owner is no member; its body is released.</summary>
    TooFewCopies = 7,

    /// <summary>An operator holds the message: no attempt may begin.</summary>
    Held = 8,

    /// <summary>The sender, or the destination of a recipient, is suspended: no attempt may begin.</summary>
    Suspended = 9,
}
