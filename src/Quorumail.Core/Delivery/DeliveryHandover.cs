namespace Quorumail.Core.Delivery;

/// <summary>Who tells the sender of a success that NOTIFY=SUCCESS asked for (RFC 3461 5.2).</summary>
public enum DeliveryHandover
{
    /// <summary>The next hop does: it has the DSN extension and got NOTIFY.</summary>
    Onward = 0,

    /// <summary>We do, with "relayed": the next hop has no DSN extension.</summary>
    Relayed = 1,

    /// <summary>We do, with "delivered": the message is in its mailbox.</summary>
    Final = 2,
}
