namespace Quorumail.Core.Mail;

/// <summary>What becomes of a forward-path.</summary>
public enum AddressVerdict
{
    /// <summary>Its mailbox is here, or an alias of ours stands for it.</summary>
    Local = 0,

    /// <summary>It is passed on.</summary>
    Relay = 1,

    /// <summary>The domain is ours, the mailbox isn't there: 550 5.1.1.</summary>
    UnknownUser = 2,

    /// <summary>The domain isn't ours and the client may not relay: 550 5.7.1.</summary>
    RelayDenied = 3,
}
