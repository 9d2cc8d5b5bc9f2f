"""Actions: clicks on buttons and menus, and submitted modals."""
