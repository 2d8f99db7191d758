namespace Quorumail.Core.Delivery;

/// <summary>What a transport says of one recipient.</summary>
public enum DeliveryVerdict
{
    /// <summary>The next hop has taken responsibility, or the mailbox holds the message.</summary>
    Delivered = 1,

    /// <summary>Try again later: 4xx, no connection, a local hindrance.</summary>
    Temporary = 2,

    /// <summary>Trying again is of no use: 5xx, null MX, a message that the next hop can't take.</summary>
    Permanent = 3,

    /// <summary>The final dot was sent and no reply came.</summary>
    InDoubt = 4,
}
