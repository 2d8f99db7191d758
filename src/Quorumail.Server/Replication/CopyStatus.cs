namespace Quorumail.Server.Replication;

/// <summary>What became of a piece of a body at another node.</summary>
internal enum CopyStatus : byte
{
    /// <summary>Written; a head is synced, and all its chunks with it.</summary>
    Stored = 0,

    /// <summary>Not written: damaged on the way, incomplete, or the node takes no mail.</summary>
    Refused = 1,

    /// <summary>Not written: the message has left the queue.</summary>
    Gone = 2,

    /// <summary>Not known: no answer came.</summary>
    Unknown = 3,
}
