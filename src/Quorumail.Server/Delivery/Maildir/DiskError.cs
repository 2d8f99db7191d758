namespace Quorumail.Server.Delivery.Maildir;

/// <summary>Error numbers of Linux that concern one mailbox rather than the disk.</summary>
internal static class DiskError
{
    /// <summary>ENOSPC: no room.</summary>
    public const int NoSpace = 28;

    /// <summary>ESTALE: the file is gone from the NFS server.</summary>
    public const int Stale = 116;

    /// <summary>EDQUOT: the owner's share is used up.</summary>
    public const int QuotaExceeded = 122;
}
