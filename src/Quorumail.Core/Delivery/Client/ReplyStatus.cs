namespace Quorumail.Core.Delivery.Client;

/// <summary>What <see cref="ReplyParser"/> found.</summary>
public enum ReplyStatus
{
    /// <summary>The reply is not complete yet.</summary>
    Incomplete = 0,

    /// <summary>A whole reply.</summary>
    Complete = 1,

    /// <summary>No SMTP reply, or a longer one than we take: nothing that follows can be trusted.</summary>
    Malformed = 2,
}
