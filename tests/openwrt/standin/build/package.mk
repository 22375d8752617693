# SPDX-License-Identifier: GPL-2.0-or-later
# In the place of OpenWrt's package.mk: says what the fields of each package are
# (one line each: package, field, value) and makes its contents in OUT/package.
# What was built already is not built again.

PKG_BUILD_DIR := $(OUT)/source
PKG_INSTALL_DIR := $(OUT)/installed
FIELDS := SECTION CATEGORY SUBMENU TITLE URL DEPENDS USERID PROVIDES CONFLICTS \
	PKGARCH BUILDONLY
PKG_FIELDS := PKG_NAME PKG_VERSION PKG_RELEASE PKG_SOURCE PKG_SOURCE_URL \
	PKG_HASH PKG_MAINTAINER PKG_LICENSE PKG_LICENSE_FILES PKG_BUILD_DEPENDS

define Build/Prepare
	ln -sfn $(TREE) $(PKG_BUILD_DIR)
endef

define Build/Install/Default
	$(MAKE) --no-print-directory -C $(PKG_BUILD_DIR) -o all -o loader $(1) \
		BUILD=$(PORTICO_BUILD) DESTDIR=$(PKG_INSTALL_DIR) $(MAKE_FLAGS)
endef

define Build/Install
	$(call Build/Install/Default,install)
endef

define BuildPackage
$(foreach field,$(FIELDS),$(eval $(field) :=))
$(eval $(call Package/$(1)))
$(foreach field,$(PKG_FIELDS) $(FIELDS),$(info $(1) $(field) $($(field))))
install: $(1)/install
.PHONY: $(1)/install
$(1)/install: compile
$(call Package/$(1)/install,$(OUT)/$(1))
endef

.DEFAULT_GOAL := describe
describe: ;
prepare:
	mkdir -p $(OUT)
	$(Build/Prepare)
compile: prepare
	$(Build/Install)
.PHONY: describe prepare compile install
