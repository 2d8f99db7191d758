namespace Quorumail.Core.Delivery;

/// <summary>What a delivery status notification reports (RFC 3464).</summary>
public enum NoticeKind
{
    /// <summary>Recipients that will not get the message.</summary>
    Failure = 1,

    /// <summary>Recipients that have not got it yet.</summary>
    Delay = 2,

    /// <summary>Recipients that have got it, or whose next hop has and will not report.</summary>
    Success = 3,
}
