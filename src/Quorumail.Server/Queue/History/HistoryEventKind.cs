namespace Quorumail.Server.Queue.History;

/// <summary>What happened to a message. The numbers are stored: never reuse one.</summary>
internal enum HistoryEventKind
{
    /// <summary>An attempt has ended, or a deadline had come.</summary>
    Attempt = 1,

    /// <summary>An operator has deleted it.</summary>
    Deleted = 2,

    /// <summary>Its client was told 451, and it has left the queue.</summary>
    Withdrawn = 3,
}
