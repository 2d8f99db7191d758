namespace Quorumail.Cluster.State;

/// <summary>Why the shared state did not do what was asked.</summary>
public enum StateFault
{
    /// <summary>The key is empty, longer than 512 bytes, or no text.</summary>
    InvalidKey = 0,

    /// <summary>The value is larger than 256 KiB.</summary>
    ValueTooLarge = 1,

    /// <summary>The time to live is not positive, or too long.</summary>
    InvalidTimeToLive = 2,

    /// <summary>The store holds as much as it may: delete something first.</summary>
    Full = 3,

    /// <summary>No leader, or no majority: nothing was changed. Try again.</summary>
    Unavailable = 4,

    /// <summary>The write may have happened, or may happen still: read, or write again with a condition.</summary>
    Unknown = 5,

    /// <summary>The watcher is too slow: list anew, and watch from the list's version on.</summary>
    WatchLagged = 6,
}
